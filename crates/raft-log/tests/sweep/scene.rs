//! The directories that are damaged: small, with everything in them that the format has.

use raft_core::{Index, LogId, NodeId, Term};
use raft_log::{
    DataDir, Kind, Log, NodeState, Options, PeerBoot, RecoveredLog, SnapshotPart, Write,
    encode_entry,
};

use crate::image::Image;
use crate::layout::Layout;
use crate::support::format::{self, PAGE};
use crate::support::model::{Model, entries, vote};
use crate::support::{CloneDisk, MemDisk, holder, identity};

pub struct Scene {
    pub name: &'static str,
    pub image: Image,
    pub layout: Layout,
    /// What a start recovers.
    pub recovered: RecoveredLog,
    /// The first block of the newest slot that nothing proves to be durable.
    pub unproven: usize,
    /// What pages held earlier: file, page, bytes.
    pub older: Vec<(String, usize, Vec<u8>)>,
}

impl CloneDisk for Image {
    fn shared(&self) -> std::sync::Arc<dyn raft_log::Disk> {
        std::sync::Arc::new(self.clone())
    }
}

pub fn options(seed: u64) -> Options {
    Options { slot_bytes_start: 32 << 10, slot_bytes_max: 64 << 10, spares: 0, seed: Some(seed) }
}

fn peer(id: u64) -> PeerBoot {
    PeerBoot { id: NodeId(id), incarnation: 7 << 100, epoch: id, nonce: 8 }
}

/// A history, and what every file held after each step of it.
struct History {
    disk: MemDisk,
    log: Option<(DataDir, Log)>,
    acked: Model,
    past: Vec<Image>,
}

impl History {
    fn new() -> Self {
        let disk = MemDisk::default();
        let mut history = Self { disk, log: None, acked: Model::default(), past: Vec::new() };
        let mut dir = DataDir::open_seeded(history.disk.shared(), holder(), Some(1)).unwrap();
        history.remember();
        let incarnation = dir.identity().incarnation();
        dir.set_identity(NodeState::Member(identity(incarnation))).unwrap();
        history.remember();
        history
    }

    fn remember(&mut self) {
        self.past.push(Image::of(&self.disk));
    }

    fn start(&mut self, seed: u64) {
        self.log = None;
        let mut dir = DataDir::open_seeded(self.disk.shared(), holder(), Some(1)).unwrap();
        let log = dir.open_log(options(seed)).unwrap();
        self.log = Some((dir, log));
        self.remember();
    }

    fn write(&mut self, writes: &[Write]) {
        self.log.as_mut().unwrap().1.writer.write(writes).unwrap();
        if let Some(at) = writes.iter().find_map(|write| write.reset) {
            self.acked.reset(at);
        }
        self.acked.entries = self.acked.steps(writes).pop().unwrap();
        for write in writes {
            self.acked.hard_state = write.hard_state.unwrap_or(self.acked.hard_state);
            self.acked.peers = write.peers.clone().unwrap_or(self.acked.peers.clone());
            self.acked.commit = self.acked.commit.max(write.commit_hint.0);
        }
        self.remember();
    }

    fn attest(&mut self) {
        self.log.as_mut().unwrap().1.writer.attest().unwrap();
        self.remember();
    }

    fn show(&mut self, index: u64) {
        let (dir, _) = self.log.as_ref().unwrap();
        dir.shown().unwrap().0.advance(Index(index)).unwrap();
        self.remember();
    }

    /// So many more entries of the present term.
    fn append(&mut self, count: u64, size: usize) {
        let (first, term) = (self.acked.last() + 1, self.acked.hard_state.term.0);
        self.write(&[entries(first, count, term, size)]);
    }

    /// Two starts: a slot of every size, a truncation, a large entry, a rewritten tail.
    fn two_starts(&mut self) {
        self.start(1);
        self.write(&[vote(1, Some(1))]);
        let member = encode_entry(Index(1), Term(1), Kind::MEMBERSHIP, &[b"founders"]);
        let first = Write { first: Index(1), entries: vec![member], count: 1, ..Write::default() };
        self.write(&[first, Write { peers: Some(vec![peer(2)]), ..Write::default() }]);
        self.append(4, 700);
        self.show(3);
        let mut cut = entries(4, 2, 2, 600);
        cut.truncate_from = Some(Index(4));
        cut.commit_hint = Index(3);
        self.write(&[vote(2, None), cut]);
        self.append(1, 17_000);
        self.attest();
        self.append(1, 500);
        self.start(2);
        self.append(2, 400);
    }

    /// Two more, each of which finds little and copies it: slots are used again.
    fn four_starts(&mut self) {
        self.two_starts();
        self.start(3);
        self.append(1, 300);
        self.start(4);
        self.append(1, 900);
    }

    /// A slot that is full, and the next one, which this start took too.
    fn full_slot(&mut self) {
        self.two_starts();
        let slots = format::slots(&self.disk).len();
        while format::slots(&self.disk).len() == slots {
            self.append(1, 7000);
        }
    }

    /// A snapshot as of this entry, which shares a part with all others.
    fn snapshot(&mut self, id: LogId) {
        let (dir, _) = self.log.as_ref().unwrap();
        let mut writer = dir.snapshots().unwrap().write(id, b"sessions").unwrap();
        let state = format!("state as of {id}");
        writer.part(SnapshotPart::Changing, |to| to.write_all(state.as_bytes())).unwrap();
        writer.part(SnapshotPart::Sealed(0xa1), |to| to.write_all(&[5; 60])).unwrap();
        writer.finish().unwrap();
        self.remember();
    }

    /// A log that was reset to a snapshot, and goes on behind it, with another snapshot.
    fn installed(&mut self) {
        self.start(1);
        self.write(&[vote(1, Some(1)), entries(1, 3, 1, 600)]);
        let id = LogId::new(20, 2);
        self.snapshot(id);
        let reset = Write { reset: Some(id), commit_hint: Index(22), ..entries(21, 3, 3, 500) };
        self.write(&[vote(3, None), reset]);
        self.append(1, 5000);
        self.snapshot(LogId::new(22, 3));
    }

    /// A vote, peers, and a truncation with entries of several pages, in one commit.
    fn last_commit(&mut self) {
        let (term, last) = (self.acked.hard_state.term.0 + 1, self.acked.last());
        let mut cut = entries(last, 2, term, 3000);
        cut.truncate_from = Some(Index(last));
        cut.commit_hint = Index(last - 1);
        let peers = Write { peers: Some(vec![peer(2), peer(3)]), ..Write::default() };
        self.show(last - 1);
        self.write(&[vote(term, Some(2)), peers, cut]);
    }

    fn scene(mut self, name: &'static str, unproven: usize) -> Scene {
        // One that was never used.
        self.log.take().unwrap().1.spares.make(32 << 10).unwrap();
        let image = Image::of(&self.disk);
        let mut older: Vec<(String, usize, Vec<u8>)> = Vec::new();
        let mut nodes = Vec::new();
        for past in &self.past {
            for name in past.names().iter().filter(|name| !name.ends_with(".tmp")) {
                let (then, now) = (past.read(name).unwrap(), image.read(name).unwrap());
                if name == "NODE" && then != now && !nodes.contains(&*then) {
                    nodes.push(then.to_vec());
                }
                for (page, bytes) in then.chunks(PAGE).enumerate() {
                    let version = (name.clone(), page, bytes.to_vec());
                    let differs = now.chunks(PAGE).nth(page) != Some(bytes);
                    if differs && !older.contains(&version) {
                        older.push(version);
                    }
                }
            }
        }
        let layout = Layout::of(&image, nodes);
        let (entries, _) = layout.states.last().unwrap();
        assert_eq!(*entries, self.acked.entries, "{name}: the plain reading");
        let copy = image.fork();
        let mut dir = DataDir::open_seeded(copy.shared(), holder(), Some(1)).unwrap();
        let recovered = dir.open_log(options(99)).unwrap().recovered;
        self.acked.check_recovered(&recovered);
        assert_eq!(recovered.hard_state, self.acked.hard_state);
        assert_eq!(recovered.peers, self.acked.peers);
        assert!(!recovered.tail_ambiguous);
        let unproven = layout.newest().blocks.len() - unproven;
        Scene { name, image, layout, recovered, unproven, older }
    }
}

/// The newest slot was zeros before, or holds old bytes, or follows one that is full; a mark stands
/// behind the last commit, or none yet.
pub fn scenes() -> Vec<Scene> {
    let build = |name, begin: fn(&mut History), attested: bool| {
        let mut history = History::new();
        begin(&mut history);
        history.last_commit();
        if attested {
            history.attest();
        }
        // The last commit is two votes, peers, and entries.
        let scene = history.scene(name, if attested { 1 } else { 4 });
        let used = scene.image.read(&scene.layout.newest().name).unwrap()[92] != 0;
        assert_eq!(used, name.starts_with("recycled"), "{name}");
        scene
    };
    vec![
        build("fresh", History::two_starts, false),
        build("fresh attested", History::two_starts, true),
        build("full", History::full_slot, false),
        build("recycled", History::four_starts, false),
        build("recycled attested", History::four_starts, true),
        build("installed", History::installed, false),
    ]
}
