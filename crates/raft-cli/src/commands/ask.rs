//! Asking a cluster: what all client commands share.

use std::collections::BTreeSet;
use std::process;
use std::time::{Duration, Instant};

use raft_node::{Address, Client, ClientNotice, ClientOptions, MemberRow, MembersView, Served};

use crate::args::address;
use crate::errors::{Problem, READ};
use crate::exit::Exit;
use crate::output::Output;
use crate::select::join;
use crate::signals;

/// How long a request waits for its answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// An election, say, is over before a person wonders.
const PATIENCE_BEFORE_WORDS: Duration = Duration::from_secs(1);

/// Whom to ask, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) endpoints: Vec<Address>,
    pub(crate) timeout: Option<Duration>,
}

/// A member as a person names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Address(Address),
    Id(u64),
}

impl Ask {
    /// A client for one request. A change of members may take longer than the timeout: while a
    /// server holds it and can be heard, the client waits.
    pub(crate) fn client(&self, output: &Output) -> Result<Client, Problem> {
        let (notes, begun, mut told) = (*output, Instant::now(), BTreeSet::new());
        // What passes by itself in a moment needs no words, and nothing needs them twice.
        let notice = move |notice: ClientNotice| {
            let text = notice.to_string();
            if begun.elapsed() > PATIENCE_BEFORE_WORDS && told.insert(text.clone()) {
                notes.note(&text);
            }
        };
        self.client_from(Some(Box::new(notice)))
    }

    /// The members, before a change: if nobody leads, one hears it after the short timeout, and
    /// nothing was sent.
    pub(crate) fn members_first(&self, output: &Output) -> Result<MembersView, Problem> {
        self.client(output)?.members().wait().map_err(|error| self.problem(&error, READ))
    }

    /// A failed request, told with what it would have done.
    pub(crate) fn problem(&self, error: &raft_node::ClientError, action: &str) -> Problem {
        Problem::of_request(error, action, &join(&self.endpoints))
    }

    /// A client that keeps its troubles to itself until it fails.
    pub(crate) fn quiet_client(&self) -> Result<Client, Problem> {
        self.client_from(None)
    }

    fn client_from(
        &self,
        notices: Option<Box<dyn FnMut(ClientNotice) + Send>>,
    ) -> Result<Client, Problem> {
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        let options = ClientOptions { timeout, one_shot: true, notices };
        Client::new(self.endpoints.clone(), options)
            .map_err(|error| Problem::new(Exit::NothingSent, format!("cannot ask: {error}")))
    }
}

impl Target {
    /// `:9993`, or `n3`.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        if let Some(id) = text.strip_prefix('n').and_then(|digits| digits.parse().ok()) {
            return Ok(Self::Id(id));
        }
        let parsed = address(text).map(Self::Address);
        parsed.map_err(|why| Problem::usage(format!("{why}; a member's id is written n3")))
    }

    /// The address of this member.
    pub(crate) fn resolve(&self, members: &MembersView) -> Result<Address, Problem> {
        match self {
            Self::Address(address) => Ok(address.clone()),
            Self::Id(_) => address(&self.find(members)?.address)
                .map_err(|why| Problem::new(Exit::Refused, why)),
        }
    }

    /// This member, if it is one.
    pub(crate) fn find<'a>(&self, members: &'a MembersView) -> Result<&'a MemberRow, Problem> {
        let name = match self {
            Self::Address(address) => address.to_string(),
            Self::Id(id) => format!("n{id}"),
        };
        let is = |row: &&MemberRow| match self {
            Self::Address(_) => row.address == name,
            Self::Id(id) => row.id.0 == *id,
        };
        members.members.iter().find(is).ok_or_else(|| {
            let problem = Problem::new(Exit::NotFound, format!("there is no member {name}"));
            problem.hint(format!("the members are {}", addresses_of(members)))
        })
    }
}

/// `:9990,:9991,:9992`.
pub(crate) fn addresses_of(members: &MembersView) -> String {
    let rows = members.members.iter().filter(|row| !row.outgoing);
    rows.map(|row| row.address.as_str()).collect::<Vec<_>>().join(",")
}

/// Says on standard error that another server than the one asked has done it. JSON says it in
/// the result.
pub(crate) fn forwarded(served: &Served, output: &Output) {
    let Served { contacted, forwarded_to } = served;
    if let Some(to) = forwarded_to.as_ref().filter(|_| !output.format.is_json()) {
        output.note(&format!("{contacted} is not the leader, forwarded to {to}"));
    }
}

/// Ends the program when it is interrupted, and says what goes on without it.
pub(crate) fn on_interrupt(goes_on: &'static str, output: &Output) -> Result<(), Problem> {
    let output = *output;
    let leave = move |_| {
        output.note(goes_on);
        process::exit(Exit::Interrupted.code().into());
    };
    signals::watch(leave)
        .map_err(|error| Problem::new(Exit::NothingSent, format!("cannot watch signals: {error}")))
}
