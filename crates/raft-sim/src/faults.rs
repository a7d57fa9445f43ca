//! What may go wrong in a run, and how often: drawn from the seed, so that some runs see one
//! kind of trouble only and others all of them together.

use raft_core::{Config, NodeId};
use raft_log::Options;
use raft_node::random::Random;
use raft_node::replica::{Limits, SnapshotLimits};
use raft_node::sessions::{self, Sessions};

use crate::chance::{pick, stream};
use crate::network::Delays;
use crate::plan::{EVENTS_MIN, Plan, Reach, Storage};
use crate::schedule::{Schedule, Shape};

/// The election timeout T where the network is local, in milliseconds.
pub const T: u64 = 1000;

/// What an operator chooses where it is not.
const WIDE: [u64; 3] = [2000, 3000, 5000];

/// One run in so many has a wide-area network, where the plan does not say.
const WIDE_ONE_IN: u64 = 8;

/// No slot of the log is smaller.
pub(crate) const SLOT_BYTES_MIN: u64 = 32 * 1024;

/// One run in so many of those in which anything may happen has more damage than a cluster
/// survives, where the plan does not say.
const EXCEEDED_ONE_IN: u64 = 16;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process ends and is started again.
    Kill,
    /// A process is asked to end: it hands leadership over first, if it can.
    Retire,
    /// A machine loses its power.
    PowerCut,
    /// All machines lose their power at once.
    Blackout,
    /// A process ends in the middle of a disk operation, or its machine does.
    TornWrite,
    /// A server ends, and again while it starts.
    CrashLoop,
    /// A disk operation fails.
    DiskError,
    /// A disk takes nothing for a while: its syncs hang.
    DiskHang,
    /// A disk cannot be read, once.
    ReadError,
    /// A disk is slow for a while.
    SlowDisk,
    /// A disk is full for a while.
    DiskFull,
    /// A bit turns on a disk that may be damaged.
    Rot,
    /// A page of such a disk reads as it was before.
    Stale,
    /// A write to such a disk lands in a wrong place.
    Misdirected,
    /// A machine loses its power, and a file of its log with it.
    SlotGone,
    /// The same, and another file is there instead.
    SlotSwapped,
    /// A process is stopped for a while and does not know it.
    Pause,
    /// A machine's clock jumps ahead, as after a suspend.
    ClockJump,
    /// Some do not reach others.
    Partition(Shape),
    /// The same, cut and mended in quick turns.
    Flap(Shape),
    /// Some do not reach others, and nobody hangs up.
    HalfOpen(Shape),
    /// The way between some is slow.
    SlowLink(Shape),
    /// Single messages of consensus get lost, doubled or swapped.
    Loose,
    /// A bit flips in a frame on its way.
    Corrupt,
    /// A connection breaks.
    Snap,
    /// A socket is full for a while.
    Stall,
    /// The clients' world changes: one of them ends and another begins.
    ClientEnds,
    /// A server that does not belong here dials a member.
    Stranger,
    /// A server that is being added dies, and never comes back.
    NewcomerDies,
    /// A member that is being removed leads instead of those who remove it.
    LeaverLeads,
    /// A follower is sent a snapshot that ends within its log.
    Overlap,
}

/// What damages disks that may be damaged.
const HARMS: [Fault; 3] = [Fault::Rot, Fault::Stale, Fault::Misdirected];

/// What makes a disk useless: only where more is damaged than a cluster survives.
const WRECKS: [Fault; 2] = [Fault::SlotGone, Fault::SlotSwapped];

/// What comes seldom, in place of another trouble; what seldom comes to anything stands twice.
const RARITIES: [Fault; 4] =
    [Fault::Stranger, Fault::NewcomerDies, Fault::LeaverLeads, Fault::LeaverLeads];

/// Every kind that the schedule of anything draws from.
const FAULTS: [Fault; 34] = [
    Fault::Kill,
    Fault::Retire,
    Fault::PowerCut,
    Fault::Blackout,
    Fault::TornWrite,
    Fault::TornWrite,
    Fault::CrashLoop,
    Fault::DiskError,
    Fault::DiskHang,
    Fault::ReadError,
    Fault::SlowDisk,
    Fault::DiskFull,
    Fault::Rot,
    Fault::Stale,
    Fault::Misdirected,
    Fault::Pause,
    Fault::ClockJump,
    Fault::Partition(Shape::Halves),
    Fault::Partition(Shape::Alone),
    Fault::Partition(Shape::OneWay),
    Fault::Partition(Shape::Deaf),
    Fault::Partition(Shape::Bridge),
    Fault::Partition(Shape::Ring),
    Fault::Partition(Shape::MajorityRing),
    Fault::Flap(Shape::OneWay),
    Fault::Flap(Shape::Alone),
    Fault::HalfOpen(Shape::OneWay),
    Fault::HalfOpen(Shape::Alone),
    Fault::SlowLink(Shape::Alone),
    Fault::Loose,
    Fault::Corrupt,
    Fault::Snap,
    Fault::Stall,
    Fault::ClientEnds,
];

impl Fault {
    /// What it is counted as.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Retire => "retire",
            Self::PowerCut => "power cut",
            Self::Blackout => "blackout",
            Self::TornWrite => "torn write",
            Self::CrashLoop => "crash loop",
            Self::DiskError => "disk error",
            Self::DiskHang => "disk hang",
            Self::ReadError => "read error",
            Self::SlowDisk => "slow disk",
            Self::DiskFull => "disk full",
            Self::Rot => "bit turned",
            Self::Stale => "page stale",
            Self::Misdirected => "write misdirected",
            Self::SlotGone => "slot gone",
            Self::SlotSwapped => "slot swapped",
            Self::Pause => "pause",
            Self::ClockJump => "clock jump",
            Self::Partition(shape) => match shape {
                Shape::Halves => "partition: halves",
                Shape::Alone => "partition: one alone",
                Shape::OneWay => "partition: one way",
                Shape::Deaf => "partition: one deaf",
                Shape::Bridge => "partition: bridge",
                Shape::Ring => "partition: ring",
                Shape::MajorityRing => "partition: majority ring",
            },
            Self::Flap(_) => "flap",
            Self::HalfOpen(_) => "half-open",
            Self::SlowLink(_) => "slow link",
            Self::Loose => "loose messages",
            Self::Corrupt => "corruption",
            Self::Snap => "connection breaks",
            Self::Stall => "socket full",
            Self::ClientEnds => "client ends",
            Self::Stranger => "stranger",
            Self::NewcomerDies => "newcomer dies",
            Self::LeaverLeads => "leaver leads",
            Self::Overlap => "snapshot overlaps",
        }
    }
}

/// What differs from run to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How far the network goes.
    pub reach: Reach,
    /// The election timeout T, in milliseconds.
    pub t: u64,
    /// Which trouble comes when.
    pub schedule: Schedule,
    /// What disks do at worst.
    pub storage: Storage,
    /// Members at the beginning.
    pub founders: usize,
    /// Servers that may be added.
    pub joiners: usize,
    /// Clients that write.
    pub clients: usize,
    /// Each wants something in about so many milliseconds.
    pub think_every: u64,
    /// Clients that change the membership, or who leads.
    pub admins: usize,
    /// Servers are started within so many milliseconds.
    pub starts_within: u64,
    /// One of the founders dies while it founds.
    pub founder_dies: bool,
    /// How long trouble lasts.
    pub trouble: u64,
    /// Longer if less than this has happened by then.
    pub events_min: u64,
    /// One fault in about so many milliseconds.
    pub fault_every: u64,
    /// Which kinds, some of them several times.
    pub faults: Vec<Fault>,
    /// One trouble in so many is a rare one instead; none if zero.
    pub rare_one_in: u64,
    /// One in so many is a snapshot that overlaps; none if zero.
    pub overlap_one_in: u64,
    /// Whom they hit.
    pub victims: Victims,
    /// One change of membership or leadership in about so many milliseconds; none if zero.
    pub change_every: u64,
    /// How the network is.
    pub delays: Delays,
    /// A sync takes up to this.
    pub sync: u64,
    /// One sync in so many takes up to three election timeouts; none if zero.
    pub sync_hangs_one_in: u64,
    /// A leader is heard at least so often.
    pub heartbeat: u64,
    /// Small limits everywhere.
    pub tight: bool,
    /// How small: entry bytes in one append and kept in memory, and appends under way.
    pub window: (u64, u64, usize),
    /// How large the log's slots grow.
    pub slot_bytes_max: u64,
    /// So few sessions that some are evicted.
    pub few_sessions: bool,
    /// How large most members let the text log grow, if it is less than usual.
    pub text_bytes_max: Option<u64>,
    /// When members take snapshots; they take none if it is not given.
    pub snapshots: Option<SnapshotLimits>,
    /// They are sent in pieces of so many bytes.
    pub chunk_bytes: usize,
    /// What comes in together is handled together: how long a server dozes at most.
    pub doze: u64,
    /// Clocks run fast or slow by up to so many thousandths.
    pub skew: u64,
    /// This member says nonsense now and then.
    pub insane: Option<usize>,
    /// After the trouble only a majority comes back.
    pub minority_stays_dead: bool,
    /// When all is well, all power is cut once more.
    pub last_blackout: bool,
}

/// Whom troubles hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victims {
    /// Anybody; the leader more often.
    Any,
    /// Whoever leads.
    Leader,
    /// Anybody else.
    Follower,
}

impl Settings {
    /// Draws a run, where the plan does not say otherwise.
    #[must_use]
    pub fn draw(plan: &Plan) -> Self {
        let mut random = stream(plan.seed, "schedule", 0);
        // Half of the runs are of the schedule of anything.
        let any = if random.below(2) == 0 { 0 } else { random.below(Schedule::ALL.len() as u64) };
        let schedule = plan.schedule.unwrap_or(Schedule::ALL[any as usize]);
        let far = &mut stream(plan.seed, "network", 0);
        let is_wide = far.below(WIDE_ONE_IN) == 0;
        let drawn = if is_wide { Reach::Wide } else { Reach::Local };
        let reach = plan.network.unwrap_or(drawn);
        let t = if reach == Reach::Wide { pick(far, WIDE) } else { T };
        let random = &mut stream(plan.seed, "settings", 0);
        let mut settings = Self::anything(random, schedule, (reach, t));
        settings.direct(random);
        if plan.short && plan.length.is_none() {
            settings.shorten();
        }
        settings.trouble += settings.first_trouble();
        settings.draw_snapshots(&mut stream(plan.seed, "snapshots", 0));
        let random = &mut stream(plan.seed, "text", 0);
        let little = random.below(6) == 0;
        settings.text_bytes_max = little.then(|| pick(random, [300, 3000, 20_000]));
        if reach == Reach::Wide {
            settings.widen(&mut stream(plan.seed, "wide", 0));
        }
        settings.founders = plan.members.unwrap_or(settings.founders);
        settings.trouble = plan.length.unwrap_or(settings.trouble);
        settings.storage = plan.storage.unwrap_or_else(|| settings.draw_storage(plan.seed));
        let mad = settings.founders > 2 && settings.storage == Storage::Tolerated;
        settings.insane = settings.insane.filter(|_| mad);
        if settings.storage == Storage::Exceeded {
            // Damage is every other trouble. That a whole file is gone is sure to be noticed only
            // on a disk that is well otherwise, and so little else is damaged then.
            let whole = stream(plan.seed, "storage", 1).below(3) == 0;
            let harms: &[Fault] = if whole { &WRECKS } else { &HARMS };
            let often = 1 + settings.faults.len() / harms.len();
            settings.faults.extend(std::iter::repeat_n(harms, often).flatten());
        }
        settings
    }

    /// Where a schedule is about something else, disks are what a cluster survives.
    fn draw_storage(&self, seed: u64) -> Storage {
        let exceeds = stream(seed, "storage", 0).below(EXCEEDED_ONE_IN) == 0;
        match self.schedule == Schedule::Random && exceeds {
            true => Storage::Exceeded,
            false => Storage::Tolerated,
        }
    }

    fn anything(random: &mut Random, schedule: Schedule, (reach, t): (Reach, u64)) -> Self {
        let faults: Vec<Fault> = FAULTS
            .into_iter()
            .flat_map(|fault| std::iter::repeat_n(fault, pick(random, [0, 0, 1, 3])))
            .collect();
        let founders = pick(random, [1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 6, 7]);
        let insane = random.below(founders as u64) as usize;
        // Of what is slower where all have more patience.
        let scaled = |time: u64| time * t / T;
        Self {
            reach,
            t,
            schedule,
            storage: Storage::Tolerated,
            founders,
            joiners: pick(random, [0, 1, 1, 2]),
            clients: pick(random, [1, 2, 3, 4]),
            think_every: scaled(pick(random, [30, 80, 200, 500])),
            admins: 1,
            // Mostly at once; sometimes in the midst of trouble.
            starts_within: pick(random, [t / 10, t / 10, t / 10, 2 * t]),
            founder_dies: random.below(2) == 0,
            trouble: 3 * t + pick(random, [0, 3 * t, 12 * t]) * random.below(100) / 100,
            events_min: 0,
            fault_every: scaled(pick(random, [40, 150, 400, 1000])),
            faults,
            rare_one_in: 0,
            overlap_one_in: 0,
            victims: Victims::Any,
            change_every: scaled(pick(random, [0, 300, 1000, 2000])),
            delays: Delays {
                usual: pick(random, [3, 15, 60]),
                slow_one_in: pick(random, [0, 50, 400]),
                slow: t / 2,
            },
            sync: pick(random, [3, 10, 60]),
            sync_hangs_one_in: pick(random, [0, 0, 200, 1000]),
            heartbeat: pick(random, [t / 20, t / 10, t / 10, t / 5]),
            tight: random.below(3) > 0,
            window: pick(random, [(1, 1, 16), (300, 500, 4), (300, 5000, 1), (2000, 500, 4)]),
            slot_bytes_max: pick(random, [1, 1, 2, 4]) * SLOT_BYTES_MIN,
            few_sessions: random.below(4) == 0,
            text_bytes_max: None,
            snapshots: None,
            chunk_bytes: 0,
            doze: pick(random, [0, 0, 5, 50]),
            skew: pick(random, [0, 0, 10, 50]),
            insane: (random.below(8) == 0).then_some(insane),
            minority_stays_dead: random.below(3) == 0,
            last_blackout: random.below(2) == 0,
        }
    }

    /// Not longer than it takes until enough has happened, and the schedule could make its trouble:
    /// disks hang for a while.
    fn shorten(&mut self) {
        let hangs = matches!(self.schedule, Schedule::SlowLeaderDisk | Schedule::FullWindow);
        self.trouble = if hangs { 4 * self.t } else { self.t };
        self.events_min = EVENTS_MIN;
    }

    /// The rare trouble that comes instead of the one with this number: drawn apart, so that all
    /// others are what they are without it.
    pub(crate) fn rarity(&self, seed: u64, number: u32) -> Option<Fault> {
        let random = &mut stream(seed, "overlap", u64::from(number));
        if self.overlap_one_in > 0 && random.below(self.overlap_one_in) == 0 {
            return Some(Fault::Overlap);
        }
        let random = &mut stream(seed, "rarity", u64::from(number));
        let comes = self.rare_one_in > 0 && random.below(self.rare_one_in) == 0;
        comes.then(|| pick(random, RARITIES))
    }

    /// Small ones, often: most runs have installs. Some have none, and long logs.
    fn draw_snapshots(&mut self, random: &mut Random) {
        // What is written while a snapshot is on its way has to fit into the log.
        let slow = (pick(random, [4096, 16 * 1024, 64 * 1024]), pick(random, [200_000, 1_000_000]));
        let fast = (512 * 1024, 1 << 30);
        let (slots, (chunk_bytes, rate)) =
            pick(random, [(2, fast), (8, fast), (8, slow), (1024, slow), (1024, slow)]);
        let limits = SnapshotLimits {
            bytes: pick(random, [2000, 20_000, 200_000, u64::MAX]),
            entries: pick(random, [5, 20, 60, 200]),
            keep_bytes: pick(random, [0, 0, 1, 2]) * SLOT_BYTES_MIN,
            log_bytes_max: slots * SLOT_BYTES_MIN,
            rate,
        };
        self.chunk_bytes = chunk_bytes;
        self.snapshots = (random.below(5) > 0).then_some(limits);
    }

    /// The core's settings.
    #[must_use]
    pub fn config(&self, id: NodeId) -> Config {
        let config = Config {
            election_timeout: self.t,
            heartbeat_interval: self.heartbeat,
            join_patience: 8 * self.t,
            ..Config::new(id)
        };
        if !self.tight {
            return config;
        }
        let (append_bytes_max, tail_bytes_max, inflight_appends_max) = self.window;
        let inflight_bytes_max = 2 * append_bytes_max.max(300);
        Config {
            append_bytes_max,
            inflight_bytes_max,
            inflight_appends_max,
            tail_bytes_max,
            ..config
        }
    }

    /// The replica's limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let snapshots = self.snapshots.unwrap_or_default();
        if !self.tight {
            return Limits { snapshots, ..Limits::default() };
        }
        Limits {
            snapshots,
            uncommitted_bytes_max: 4096,
            unapplied_entries_max: 64,
            apply_bytes_max: 400,
            reserved_log_bytes: 16 * 1024,
            ..Limits::default()
        }
    }

    /// The log's settings: small slots, so that runs see many of them.
    #[must_use]
    pub const fn log_options(&self, seed: u64) -> Options {
        let (bytes, max) = (SLOT_BYTES_MIN, self.slot_bytes_max);
        Options { slot_bytes_start: bytes, slot_bytes_max: max, spares: 2, seed: Some(seed) }
    }

    /// The session table, the same on every replica.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        if !self.few_sessions {
            return Sessions::default();
        }
        let few = sessions::Limits { sessions_max: 3, answer_bytes_max: 600 };
        Sessions::with_limits(few, few)
    }
}
