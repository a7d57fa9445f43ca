//! The cluster: its servers, and what happens to them.

use std::collections::BTreeMap;
use std::mem;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Zoned;
use raft_node::{Address, Changed, MembersView};
use serde_json::{Value, json};

use super::children::{Child, Ended, fact};
use super::control::{Answer, Want};
use super::places::Places;
use super::show::{self, KEYS, command, introduce};
use super::story::{News, Story};
use super::{Event, Server};
use crate::args::address;
use crate::commands::ask::Ask;
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::Output;
use crate::stamp::clock;

/// How long a new cluster has to find its first leader.
const READY_MAX: Duration = Duration::from_secs(20);
/// How long one more server has to be added.
const ADD_MAX: Duration = Duration::from_secs(60);
/// How long the servers have to end, before they are killed.
const END_MAX: Duration = Duration::from_secs(2);
/// More are no help to anybody who tries things out.
const SERVERS_MAX: usize = 9;

pub(super) struct Cluster {
    places: Places,
    election_timeout: Duration,
    output: Output,
    events: Sender<Event>,
    servers: Vec<Server>,
    /// Known ids of members, by address: also while they are down.
    ids: BTreeMap<String, u64>,
    story: Story,
    /// What servers said before the cluster was ready: worth showing if it never is.
    early: Option<Vec<(Address, String)>>,
}

impl Cluster {
    pub(super) fn new(
        places: Places,
        election_timeout: Duration,
        output: Output,
        events: Sender<Event>,
    ) -> Self {
        let (servers, ids, story) = (Vec::new(), BTreeMap::new(), Story::default());
        let early = Some(Vec::new());
        Self { places, election_timeout, output, events, servers, ids, story, early }
    }

    /// Starts a server in each place. Those started so far are held even if one fails.
    pub(super) fn start(&mut self) -> Result<(), Problem> {
        for address in self.places.addresses.clone() {
            self.servers.push(Server { address, child: None, let_go: false, again: None });
            self.start_server(self.servers.len() - 1)?;
        }
        self.ask_until_ready()
    }

    /// Shows what happens until it is to stop, or until no server is left.
    pub(super) fn watch(&mut self, events: &Receiver<Event>, keys: bool) -> Result<(), Problem> {
        loop {
            match events.recv() {
                Ok(Event::Ready(view)) => {
                    let view = view.inspect_err(|_| self.tell_early())?;
                    for row in &view.members {
                        self.ids.insert(row.address.clone(), row.id.0);
                    }
                    introduce(&self.places, &self.servers, &view, &self.output)?;
                    self.tell_early_changes();
                    if keys {
                        self.output.note(KEYS);
                    }
                }
                Ok(Event::Line { address, line }) => self.line(address, line),
                Ok(Event::Ended(ended)) => self.ended(&ended)?,
                Ok(Event::Added { address, result, answer }) => {
                    self.added(&address, result, answer);
                }
                Ok(Event::Asked(want, answer)) => self.asked(want, answer),
                Ok(Event::Key(b'q')) | Ok(Event::Stop) | Err(_) => return Ok(()),
                Ok(Event::Key(key)) => self.key(key),
            }
        }
    }

    /// Lets all servers end, kills what has not ended in time, and waits for every one of them:
    /// their data directories are in use until then.
    pub(super) fn end(mut self) {
        let deadline = Instant::now() + END_MAX;
        let mut children: Vec<Child> =
            self.servers.iter_mut().filter_map(|server| server.child.take()).collect();
        children.iter_mut().for_each(Child::let_end);
        children.retain(|child| !child.ended_before(deadline));
        children.iter().for_each(Child::kill);
        self.places.remove(&self.output);
    }

    fn start_server(&mut self, at: usize) -> Result<u32, Problem> {
        let Some(server) = self.servers.get_mut(at) else {
            return Err(Problem::new(Exit::NotFound, "no such server"));
        };
        let child =
            Child::start(&self.places, &server.address, self.election_timeout, &self.events)?;
        let pid = child.pid;
        server.child = Some(child);
        server.let_go = false;
        Ok(pid)
    }

    /// Asks for the members, which one knows who knows a leader; then each of them.
    fn ask_until_ready(&self) -> Result<(), Problem> {
        let (all, events) = (self.places.addresses.clone(), self.events.clone());
        let wait = move || drop(events.send(Event::Ready(members_when_ready(&all))));
        spawn("ready", wait)
    }

    fn line(&mut self, from: Address, line: String) {
        match (self.story.line(&from, &line), &mut self.early) {
            (News::Old, _) => {}
            (News::Change(change), None) => self.now(&change),
            (_, Some(early)) => early.push((from, line)),
            (News::Other, None) => self.output.note(&fact(&from, &line)),
        }
    }

    /// What a server said before the cluster was ready, because it is not going to be.
    fn tell_early(&mut self) {
        for (from, line) in self.early.take().into_iter().flatten() {
            self.output.note(&fact(&from, &line));
        }
    }

    /// The cluster is ready: where its servers are is in the table, who leads is not told yet.
    fn tell_early_changes(&mut self) {
        let mut story = Story::default();
        for (from, line) in self.early.take().into_iter().flatten() {
            if let News::Change(change) = story.line(&from, &line) {
                self.now(&change);
            }
        }
    }

    /// Something that happened, with the time of day.
    fn now(&self, what: &str) {
        self.output.note(&format!("{}  {what}", clock(&Zoned::now())));
    }

    fn ended(&mut self, ended: &Ended) -> Result<(), Problem> {
        let is_it = |server: &Server| server.child.as_ref().is_some_and(|c| c.pid == ended.pid);
        let Some(at) = self.servers.iter().position(is_it) else { return Ok(()) };
        self.story.ended(&ended.address);
        let Some(server) = self.servers.get_mut(at) else { return Ok(()) };
        server.child = None;
        if let Some(answer) = server.again.take() {
            let started = self.start_server(at);
            drop(answer.send(started.map(|pid| self.started(&ended.address, pid))));
            return Ok(());
        }
        let let_go = mem::take(&mut server.let_go);
        let left = self.servers.iter().filter(|server| server.child.is_some()).count();
        if self.early.is_some() || (left == 0 && !let_go) {
            self.tell_early();
            return Err(ended.problem());
        }
        let arguments = self.places.arguments(&ended.address, self.election_timeout);
        let (raft, address) = (show::program(), &ended.address);
        self.now(&format!(
            "{address} has ended ({}), {left} left; to start it again: {raft} dev restart \
             {address}, or by itself:\n  {}",
            ended.how,
            command(arguments)
        ));
        Ok(())
    }

    fn key(&mut self, key: u8) {
        let done = match key {
            b'k' => match self.story.leader().map(str::to_owned) {
                Some(leader) => self.kill(&leader).map(drop),
                None => Err(Problem::new(Exit::NotFound, "no server leads at the moment")),
            },
            b'r' => self.restart_all(),
            b'a' => self.add(None),
            b'\n' | b'\r' => Ok(()),
            _ => {
                self.output.note(KEYS);
                Ok(())
            }
        };
        if let Err(problem) = done {
            self.output.problem(&problem);
        }
    }

    fn asked(&mut self, want: Want, answer: Answer) {
        let done = match want {
            Want::Servers => Ok(self.servers_for_all()),
            Want::Kill(server) => self.kill(&server),
            Want::Restart(server) => match self.restart(&server, &answer) {
                Ok(Some(started)) => Ok(started),
                Ok(None) => return,
                Err(problem) => Err(problem),
            },
            Want::Add => match self.add(Some(answer.clone())) {
                Ok(()) => return,
                Err(problem) => Err(problem),
            },
        };
        // Who asked may have gone.
        drop(answer.send(done));
    }

    fn servers_for_all(&self) -> Value {
        let row = |server: &Server| {
            json!({
                "id": self.ids.get(&server.address.to_string()),
                "address": server.address.to_string(),
                "process": server.child.as_ref().map(|child| child.pid),
                "data": self.places.data_of(&server.address).display().to_string(),
                "log": self.places.log_of(&server.address).display().to_string(),
            })
        };
        json!({
            "dir": self.places.dir.display().to_string(),
            "leader": self.story.leader(),
            "servers": self.servers.iter().map(row).collect::<Vec<_>>(),
        })
    }

    fn kill(&mut self, address: &str) -> Result<Value, Problem> {
        let at = self.place_of(address)?;
        let Some(server) = self.servers.get_mut(at) else { return Err(unknown(address)) };
        let Some(child) = &server.child else {
            return Err(Problem::new(Exit::Refused, format!("{address} does not run"))
                .hint(format!("to start it: raft dev restart {address}")));
        };
        server.let_go = true;
        child.kill();
        Ok(json!({ "server": address, "process": child.pid }))
    }

    /// Starts a server that is down at once. One that runs has to end first: then the answer is
    /// given later.
    fn restart(&mut self, address: &str, answer: &Answer) -> Result<Option<Value>, Problem> {
        let at = self.place_of(address)?;
        let Some(server) = self.servers.get_mut(at) else { return Err(unknown(address)) };
        if let Some(child) = &mut server.child {
            child.let_end();
            server.again = Some(answer.clone());
            return Ok(None);
        }
        let address = server.address.clone();
        let pid = self.start_server(at)?;
        Ok(Some(self.started(&address, pid)))
    }

    fn restart_all(&mut self) -> Result<(), Problem> {
        let down = |(_, server): &(usize, &Server)| server.child.is_none();
        let down: Vec<usize> =
            self.servers.iter().enumerate().filter(down).map(|(at, _)| at).collect();
        if down.is_empty() {
            self.output.note("all servers run");
        }
        for at in down {
            let pid = self.start_server(at)?;
            if let Some(server) = self.servers.get(at) {
                self.started(&server.address, pid);
            }
        }
        Ok(())
    }

    fn started(&self, address: &Address, pid: u32) -> Value {
        self.now(&format!("{address} is started again, process {pid}"));
        json!({ "server": address.to_string(), "process": pid })
    }

    /// Starts one more server and has it added, on a thread: the others may first have to find a
    /// leader.
    fn add(&mut self, answer: Option<Answer>) -> Result<(), Problem> {
        if self.servers.len() >= SERVERS_MAX {
            let what = format!("a local cluster has at most {SERVERS_MAX} servers");
            return Err(Problem::new(Exit::Refused, what));
        }
        let endpoints = self.places.addresses.clone();
        let address = self.places.another()?;
        let (child, let_go, again) = (None, false, None);
        self.servers.push(Server { address: address.clone(), child, let_go, again });
        let pid = self.start_server(self.servers.len() - 1)?;
        self.now(&format!("{address} is started, process {pid}, and is being added"));
        let events = self.events.clone();
        spawn("add", move || {
            let result = join_cluster(endpoints, &address);
            drop(events.send(Event::Added { address, result, answer }));
        })
    }

    fn added(&mut self, address: &Address, result: Result<u64, Problem>, answer: Option<Answer>) {
        match (&result, &answer) {
            (Ok(id), _) => {
                self.ids.insert(address.to_string(), *id);
                self.now(&format!("{address} is a member, n{id}"));
            }
            (Err(problem), None) => self.output.problem(problem),
            (Err(problem), Some(_)) => self.now(&format!("{address}: {}", problem.what)),
        }
        if let Some(answer) = answer {
            drop(answer.send(result.map(|id| json!({ "server": address.to_string(), "id": id }))));
        }
    }

    fn place_of(&self, address: &str) -> Result<usize, Problem> {
        let at = self.servers.iter().position(|server| server.address.to_string() == address);
        at.ok_or_else(|| unknown(address))
    }
}

fn unknown(address: &str) -> Problem {
    Problem::new(Exit::NotFound, format!("{address} is no server of this local cluster"))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Problem> {
    let spawned = thread::Builder::new().name(name.into()).spawn(work);
    let failed = |error| Problem::new(Exit::Io, format!("cannot start a thread: {error}"));
    spawned.map(drop).map_err(failed)
}

/// The members, once each of them that is among `all` knows who leads.
fn members_when_ready(all: &[Address]) -> Result<MembersView, Problem> {
    let ask = |endpoints| Ask { endpoints, timeout: Some(READY_MAX) };
    let problem = |ask: &Ask, error| ask.problem(&error, "read");
    let any = ask(all.to_vec());
    let first = any.quiet_client()?.members().wait().map_err(|error| problem(&any, error))?;
    let mut asked = Vec::new();
    for member in first.members.iter().filter_map(|row| address(&row.address).ok()) {
        if all.contains(&member) {
            let one = ask(vec![member]);
            let client = one.quiet_client()?;
            let pending = client.members();
            asked.push((one, client, pending));
        }
    }
    let mut last = first;
    for (one, _client, pending) in asked {
        last = pending.wait().map_err(|error| problem(&one, error))?;
    }
    Ok(last)
}

/// Waits until the new server answers, and has it added.
fn join_cluster(endpoints: Vec<Address>, new: &Address) -> Result<u64, Problem> {
    let itself = Ask { endpoints: vec![new.clone()], timeout: Some(READY_MAX) };
    let answered = itself.quiet_client()?.status().wait();
    answered.map_err(|error| itself.problem(&error, "read"))?;
    let ask = Ask { endpoints, timeout: Some(ADD_MAX) };
    let added = ask.quiet_client()?.add_member(new).wait();
    match added.map_err(|error| ask.problem(&error, "added"))?.0 {
        Changed::Added { id, .. } | Changed::AlreadyMember { id, .. } => Ok(id.0),
        // Whatever else an answer says, the server is no member.
        _ => {
            let what = format!("{new} was taken out again: it made no progress");
            Err(Problem::new(Exit::Refused, what))
        }
    }
}
