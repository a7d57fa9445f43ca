//! Reachability: what a good simulation sees happen. A run set in which a probe is never reached
//! proves less than it seems to.
//!
//! A probe looks at what crosses a seam; no production code knows of it. A new one is a line here
//! and the place that reaches it.

/// Declares all probes: the constant, the name that is printed, and what it means.
macro_rules! probes {
    ($($probe:ident $name:literal $meaning:literal,)*) => {
        /// A point that a run may reach.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Probe {
            $(#[doc = $meaning] $probe,)*
        }

        impl Probe {
            /// All of them, in the order of this list.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$probe),*];

            /// What it is called.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$probe => $name,)* }
            }

            /// What it means that it was reached.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$probe => $meaning,)* }
            }
        }
    };
}

probes! {
    // Elections.
    PreVoteAsked "pre-vote asked" "a member asked whether it could win",
    PreVoteGranted "pre-vote granted" "another one thought so",
    PreVoteStale "pre-vote refused: stale term" "its term was too old",
    PreVoteBehind "pre-vote refused: log behind" "its log lacked entries",
    PreVoteLeaderAlive "pre-vote refused: leader alive" "the asked one heard from a leader",
    VoteAsked "vote asked" "a candidate asked for a vote",
    VoteForTransfer "vote asked on the leader's wish" "voters need not wait for that leader",
    VoteGranted "vote granted" "and got it",
    VoteStale "vote refused: stale term" "its term was too old",
    VoteTaken "vote refused: voted already" "the vote of that term was gone",
    VoteBehind "vote refused: log behind" "its log lacked entries",
    VoteLeaderAlive "vote refused: leader alive" "the voter heard from a leader",
    VotedForItself "voted for itself" "a candidate's first vote",
    VotedForAnother "voted for another" "and the vote is on disk",
    BecamePreCandidate "became pre-candidate" "no leader was heard for too long",
    BecameCandidate "became candidate" "a majority thought that it could win",
    LeaderElected "leader elected" "a member became leader",
    LeaderAgain "leader elected again" "the same server as before",
    LeaderOfOne "leader of one" "a cluster of one member leads itself",
    LeaderInJoint "leader elected in a joint configuration" "two majorities elected it",
    LeaderAmbiguous "leader with a tail once ambiguous" "its last start cut a tail in doubt",
    PreCandidateGaveUp "pre-candidate gave up" "it follows again",
    CandidateGaveUp "candidate gave up" "it follows again",
    CandidateAgain "election without a winner" "a candidate asks anew",
    LeaderOusted "leader met a higher term" "and follows",
    LeaderResigned "leader stepped down" "in its own term: no quorum, a slow disk, or its removal",
    TwoLeaders "two leaders, of different terms" "the older one does not know it yet",
    TermJumped "term jumped" "by more than one",
    CampaignNow "told to campaign" "the last step of a transfer",
    HandingOver "leadership on its way" "a leader serves no more until the other leads",
    LeadershipTransferred "leadership transferred" "a client's wish came true",
    // Replication.
    Heartbeat "heartbeat sent" "an append without entries",
    EntriesSent "entries sent" "an append with entries",
    ManyEntriesSent "many entries in one append" "eight or more",
    ConfigurationSent "configuration sent" "an entry that says who the members are",
    Matched "append matched" "durable and verified",
    Conflict "append refused: conflict" "the entry before is missing or another",
    ConflictFarBack "append refused: far back" "the hint skips more than one entry",
    AppendStale "append refused: stale term" "a deposed leader learns it",
    EntriesAppended "entries appended" "a log grew",
    EntriesReplaced "entries replaced" "a log lost a tail that was never committed",
    ReplacedDurable "durable entries replaced" "that tail had been on disk",
    HardStateAlone "term or vote written alone" "no entries with it",
    HardStateWithEntries "term or vote written with entries" "both in one write",
    PeersWritten "starts of peers written" "a peer's new start is remembered",
    GroupCommit "writes synced together" "several in one sync",
    WriteUnconfirmed "write cut short" "begun, and its process ended before it was confirmed",
    LogReadBack "log read back" "entries that memory no longer holds",
    Committed "entries committed" "a commit index rose",
    CommittedMany "many entries committed at once" "sixteen or more",
    OlderTermCommitted "older term committed" "by an entry of the leader's own term behind it",
    CommittedInJoint "committed in a joint configuration" "by two majorities",
    ApplyTrails "apply trails commit" "no budget for all that is committed",
    // Members.
    MemberStarted "member started" "a server came up as a member",
    ServerAdmitted "server admitted" "it became a member while it ran",
    LearnerThere "learner added" "it is fed and does not vote",
    JointEntered "joint configuration entered" "two majorities decide",
    JointLeft "joint configuration left" "one majority decides again",
    ConfigurationUndone "configuration rolled back" "its entry was replaced",
    JobResumed "change resumed" "a new leader found it under way",
    MemberAdded "member added" "a client was told so",
    MemberThere "member there already" "a client was told so",
    MemberRemoved "member removed" "a client was told so",
    MemberGivenUp "member given up" "a new one made no progress and was taken out",
    MemberDemoted "member demoted" "a client was told so",
    MemberReplaced "member replaced" "a client was told so",
    MemberRefilled "member refilled at its address" "its disk was lost, and a new one took its place",
    MemberMoved "member moved" "a client was told so",
    DiskLost "disk lost" "for good, and another machine is at the address",
    LeaderLeavesItself "leader outside its configuration" "it leads until that is committed",
    ServerRemoved "server removed" "it learned that it is no member any more",
    MemberAgain "member again" "removed, and added with a new id",
    // What servers say to each other.
    HelloPeer "hello of a member" "between members",
    HelloClient "hello of a client" "from a client",
    HelloFounder "hello of a founder" "a cluster is being founded",
    HelloAdmission "hello of a leader that adds" "to a server that waits",
    HelloSnapshot "hello for a snapshot" "a connection of its own",
    SnapshotOffered "snapshot offered" "by a leader",
    SnapshotBegun "snapshot begun" "from its first byte",
    SnapshotGoesOn "snapshot goes on" "from where the other end has it",
    SnapshotInstalled "snapshot installed" "durably, and said so",
    SnapshotNotNewer "snapshot not newer" "than what is committed there",
    SnapshotStale "snapshot of an old term" "refused",
    SnapshotNoRoom "snapshot without room" "on the receiver's disk",
    SnapshotUseless "snapshot useless" "damaged, or cut short",
    SnapshotTaken "snapshot taken" "its state is durable",
    SnapshotFull "snapshot refused for lack of room" "on a full disk",
    SnapshotCut "snapshot cut short" "a process ended while it wrote, sent or received one",
    LogCompacted "log compacted" "it begins later: a snapshot holds what was before",
    LogAnew "log begun anew" "after a leader's snapshot, and nothing of what it had",
    LogKept "log kept behind a snapshot" "what it had goes on from a leader's snapshot",
    FromSnapshot "start from a snapshot" "and from the log behind it",
    SnapshotUnused "snapshot not used" "a start found it damaged, and goes on from an older one, or from none",
    SnapshotDamaged "snapshot damaged" "or a part of it",
    RefusedNoSnapshot "refused disk: no snapshot is left" "that the log goes on from",
    SnapshotAsked "snapshot asked for" "by a client",
    Welcomed "hello welcomed" "a connection was taken",
    HelloRefused "hello refused" "a connection was not taken, whatever the reason",
    RefusedCluster "hello refused: other cluster" "the two are of different clusters",
    RefusedNode "hello refused: somebody else" "another server has this address now",
    RefusedRemoved "hello refused: removed" "the dialler is no member any more",
    RefusedIncarnation "hello refused: other incarnation" "another directory with this id",
    RefusedRegressed "hello refused: older start" "a later one is known",
    RefusedDuplicate "hello refused: twice" "both claim to be the same member",
    RefusedNew "hello refused: new" "the acceptor belongs to no cluster yet",
    RefusedByRemoved "hello refused: acceptor removed" "the acceptor is no member any more",
    FoundingReport "founding report" "a founder said whom it sees",
    Admitted "admission sent" "a leader told a server who it is",
    Forwarded "request forwarded" "a follower passed it on",
    ForwardAnswered "forwarded request answered" "the leader's answer came back",
    Pinged "ping" "is the other end alive?",
    Ponged "pong" "it is",
    FrameSpoilt "frames spoilt" "a bit flipped on its way",
    SpoiltNoticed "spoilt frame noticed" "a checksum was wrong, and the connection given up",
    MessageLost "messages lost" "a single one, on a connection that held",
    MessageDoubled "messages doubled" "a single one came twice",
    MessageSwapped "messages swapped" "a single one came after the next",
    NonsenseSaid "nonsense said" "a member said what no correct member says",
    NonsenseRefused "nonsense refused" "and was cut off",
    Alarm "alarm" "a core noticed a message that no correct member sends",
    // Clients.
    Registered "session opened" "by a client that stays",
    RegisteredOnce "session for one write" "opened for a single command",
    SessionEnded "session ended" "by its client",
    Written "write acknowledged" "and it stays",
    ResultApplied "result: applied" "a client asked what had become of a write",
    ResultWithdrawn "result: never applied" "and whatever copy of it came later was refused",
    WriteRepeated "write repeated" "a client sent the same write again",
    ReadConfirmed "read answered" "after a majority confirmed the leader",
    ReadLocally "read answered locally" "of what that member had",
    MembersAsked "members listed" "a client asked",
    StatusAsked "status asked" "a client asked",
    RefusedNoLeader "refused: no leader" "nobody led",
    RefusedNotLeader "refused: not the leader" "and it could not be passed on",
    RefusedLeaderLost "refused: leader lost" "while the request was under way",
    RefusedBusy "refused: busy" "too much was under way",
    RefusedExpired "refused: session expired" "the session is not known any more",
    RefusedForgotten "refused: answer forgotten" "an old copy of a write came after its client had moved on",
    RefusedChanging "refused: change in progress" "one at a time",
    RefusedYoung "refused: leader too young" "nothing of its own term is committed yet",
    RefusedHandingOver "refused: handing over" "leadership is on its way to another",
    RefusedNoQuorum "refused: no new quorum" "the changed cluster would have no majority",
    RefusedNotMember "refused: not a member" "no member has that address",
    RefusedLastMember "refused: last member" "nobody would be left",
    RefusedNotVoter "refused: not a voter" "who is to be replaced has no vote",
    RefusedAddressTaken "refused: address taken" "by another member",
    RefusedUnreachable "refused: unreachable" "nobody answers at that address",
    RefusedServerRemoved "refused: server removed" "the asked server is no member any more",
    RefusedNotReady "refused: not ready" "the asked server belongs to no cluster yet",
    RefusedFull "refused: full" "the text log may not grow",
    RefusedStopping "refused: shutting down" "the asked server is about to stop",
    Unknown "outcome unknown" "a client cannot know whether its write was applied",
    NotApplied "not applied" "a client knows that its write was not",
    NothingSent "nothing sent" "no server was reached in time",
    // Room.
    DiskFilled "disk filled" "somebody else took most of what a disk has",
    SpareMade "spare made" "a slot was made ahead",
    SpareRefused "spare refused for lack of room" "it could not be",
    SpareFailed "spare failed" "the disk did, while it was made",
    SpareAgain "spare made after room came back" "and then it could",
    LogWaits "log waits for room" "what was admitted is written later",
    StartWaits "start waits for room" "a server cannot begin on a full disk",
    StartUncounted "start not counted for lack of room" "it runs, and uses the slot of before",
    RefusedDiskFull "disk full answered" "a client was told that there is no room",
    WrittenAgain "written after room came back" "a write went through after such an answer",
    FullLeaderYields "full leader hands over" "to a voter with room",
    // Damage.
    BitTurned "bit turned" "on a disk",
    PageStale "page stale" "it reads as an older version of itself",
    WriteAstray "write misdirected" "it came to a wrong place, and the right one has nothing of it",
    SlotGone "slot gone" "the file is not there any more",
    SlotSwapped "slot swapped" "the file is another one, or another server's",
    BodyDamaged "block body damaged" "what a block carries, with others behind it",
    HeaderDamaged "block header damaged" "what a block says of itself",
    SlotDamaged "slot header damaged" "one copy of it, or both",
    UnusedDamaged "unused space damaged" "where no block is at present",
    NewestDamaged "newest commit damaged" "nothing on the disk proves that it was there",
    NewestForgotten "newest commit forgotten" "a start without it: others have it",
    NodeDamaged "NODE damaged" "the file that says whose directory this is",
    WholeSlotDamaged "whole slot damaged" "with all that it holds",
    MarkDamaged "shown mark damaged" "one copy of it, or both",
    MarkLost "shown mark lost" "a start does not know what was shown",
    CopyDamaged "damage found in a copy" "when the disks are read as if power were cut",
    RefusedIdentity "refused disk: NODE is damaged" "a server does not start",
    RefusedSlotOfAnother "refused disk: another's slot" "a server does not start",
    RefusedCertified "refused disk: a certified block is damaged" "the slot behind it says how it was",
    RefusedProven "refused disk: a proven block is damaged" "one behind it shows that it was durable",
    RefusedCopies "refused disk: both header copies are damaged" "a slot cannot be told",
    RefusedGap "refused disk: a slot is missing" "between others",
    RefusedNewest "refused disk: the newest slot is missing" "by what the others say",
    RefusedSuccessor "refused disk: the successor is missing" "of a slot that had one",
    RefusedMadeAs "refused disk: a slot by another name" "it was made as another one",
    RefusedRead "refused disk: a block read back is damaged" "a server ends",
    StartFailed "start failed" "the disk did, in the midst of it",
    TailRewritten "tail rewritten" "a start copied an uncertain end into its own slot",
    SlotSuperseded "slot superseded" "a start left out a slot that another start had begun",
    SlotRecycled "slot recycled" "a slot that was in use before is used again",
    // Machines.
    LateFounder "late founder" "a founder came when the cluster was founded, and adopted it",
    ProcessEnded "process ended" "a server was killed, or ended itself",
    PowerLost "power lost" "with all that was not synced",
    TailAmbiguous "tail ambiguous" "torn, or damaged after it was confirmed: nobody can tell",
    TailCut "tail cut" "what a crash left half written was cut at open",
    LeaderDiskHung "leader with a hung disk" "its log had been writing for too long",
    StaysDead "stays dead" "a server that never came back after the trouble",
    LastPowerCut "last power cut" "all power was cut once more when all was well",
    LinesShown "lines shown" "a server showed what the state machine says",
}

impl Probe {
    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|probe| probe.name() == name)
    }
}

/// How often each was reached.
#[derive(Clone, Debug)]
pub struct Counts([u64; Probe::ALL.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; Probe::ALL.len()])
    }
}

impl Counts {
    /// It was reached once more.
    pub const fn reach(&mut self, probe: Probe) {
        self.0[probe as usize] += 1;
    }

    /// Those that were reached.
    pub fn iter(&self) -> impl Iterator<Item = (Probe, u64)> {
        Probe::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for probe in Probe::ALL {
            assert_eq!(Probe::named(probe.name()), Some(probe));
        }
        assert_eq!(Probe::named("nothing of that kind"), None);
    }
}
