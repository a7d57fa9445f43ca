//! A client and the other end of its connection, in short words.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_core::{LogId, Time};
use raft_node::client_core::{
    ClientCore, ClientError, ClientNotice, Conclusion, Op, OpId, Output, Settings, Success,
};
use raft_node::protocol::{Answer, Outcome, Reason, Refusal, Reply, Request};

pub(crate) const TIMEOUT: u64 = 5000;

pub(crate) fn settings(endpoints: usize, seed: u64) -> Settings {
    Settings {
        endpoints: (0..endpoints).map(|n| format!(":999{n}")).collect(),
        timeout: TIMEOUT,
        one_shot: false,
        command_bytes_max: 16 * 1024 * 1024,
        seed,
    }
}

/// A client and what it wants done, with short words.
pub(crate) struct Bench {
    pub(crate) client: ClientCore,
    pub(crate) now: u64,
    /// Requests on the connection, in order.
    pub(crate) sent: Vec<(u64, Request)>,
    pub(crate) dials: Vec<usize>,
    pub(crate) closes: usize,
    pub(crate) pings: Vec<u64>,
    pub(crate) done: BTreeMap<u64, Result<Success, ClientError>>,
    pub(crate) notices: Vec<ClientNotice>,
}

pub(crate) type Step<'a> = &'a dyn Fn(&mut ClientCore, Time, &mut Vec<Output>);

impl Bench {
    pub(crate) fn new(endpoints: usize) -> Self {
        Self {
            client: ClientCore::new(settings(endpoints, 1)),
            now: 0,
            sent: Vec::new(),
            dials: Vec::new(),
            closes: 0,
            pings: Vec::new(),
            done: BTreeMap::new(),
            notices: Vec::new(),
        }
    }

    /// Connected, with an open session 7 and these writes in flight.
    pub(crate) fn writing(endpoints: usize, writes: &[u64]) -> Self {
        let mut bench = Self::new(endpoints);
        for id in writes {
            bench.write(*id);
        }
        bench.connect();
        bench.answer(Answer::Registered { session: 7 });
        bench
    }

    pub(crate) fn step(&mut self, step: Step<'_>) {
        let mut out = Vec::new();
        step(&mut self.client, Time(self.now), &mut out);
        for output in out {
            match output {
                Output::Dial(endpoint) => self.dials.push(endpoint),
                Output::Close => {
                    self.closes += 1;
                    self.sent.clear();
                }
                Output::Send { request, body } => self.sent.push((request, body)),
                Output::Ping(nonce) => self.pings.push(nonce),
                Output::Done(OpId(id), result) => {
                    let first = self.done.insert(id, result.map(|success| *success));
                    assert!(first.is_none(), "operation {id} ended twice");
                }
                Output::Notice(notice) => self.notices.push(notice),
            }
        }
    }

    pub(crate) fn submit(&mut self, id: u64, op: Op) {
        self.step(&|client, now, out| client.submit(now, OpId(id), op.clone(), out));
    }

    pub(crate) fn write(&mut self, id: u64) {
        self.submit(id, Op::Write(Bytes::from(id.to_string())));
    }

    pub(crate) fn connect(&mut self) {
        self.sent.clear();
        self.step(&|client, now, out| client.connected(now, out));
    }

    pub(crate) fn disconnect(&mut self) {
        self.sent.clear();
        self.step(&|client, now, out| client.disconnected(now, out));
    }

    /// Answers the oldest request that has no answer.
    pub(crate) fn answer(&mut self, answer: Answer) -> Request {
        let (request, body) = self.sent.remove(0);
        let reply = Reply { answer, forwarded_to: None };
        self.step(&|client, now, out| client.reply(now, request, reply.clone(), out));
        body
    }

    pub(crate) fn refuse(&mut self, outcome: Outcome, reason: Reason) -> Request {
        self.answer(Answer::Refused(Refusal { outcome, reason }))
    }

    /// Lets time pass, with all that is due on the way.
    pub(crate) fn wait(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some(Time(at)) = self.client.next_deadline()
            && at <= end
        {
            self.now = self.now.max(at);
            self.step(&|client, now, out| client.timer(now, out));
        }
        self.now = end;
    }

    /// Time passes while the server answers every ping.
    pub(crate) fn wait_heard(&mut self, millis: u64) {
        for _ in 0..millis / 100 {
            self.wait(100);
            if !std::mem::take(&mut self.pings).is_empty() {
                self.step(&|client, now, out| client.heard(now, out));
            }
        }
    }

    pub(crate) fn outcome(&self, id: u64) -> Option<Conclusion> {
        match self.done.get(&id)? {
            Ok(_) => None,
            Err(error) => Some(error.outcome),
        }
    }
}

pub(crate) fn written(index: u64) -> Answer {
    Answer::Written { at: LogId::new(index, 1), response: Bytes::new() }
}

pub(crate) fn name_of(request: &Request) -> (u64, u64, u64) {
    match request {
        Request::Write { session, sequence, lowest_unacknowledged, .. } => {
            (*session, *sequence, *lowest_unacknowledged)
        }
        other => panic!("{other:?}"),
    }
}
