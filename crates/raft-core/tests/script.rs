//! Golden scripts: each file in `scripts` tells one lesson about the protocol and records, line
//! by line, what the members say and do. `UPDATE_GOLDENFILES=1 cargo test -p raft-core` records
//! them anew; the difference is then to be read like code.

mod runner;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

/// One test for each script, so that one can be run by its name.
macro_rules! scripts {
    ($($directory:ident: $($name:ident),* ;)*) => {
        $(mod $directory {
            $(#[test]
            fn $name() -> std::io::Result<()> {
                let directory = crate::scripts().join(stringify!($directory));
                crate::runner::check(&directory.join(stringify!($name)))
            })*
        })*

        const LISTED: &[&str] = &[$($(concat!(stringify!($directory), "/", stringify!($name))),*),*];
    };
}

scripts! {
    election: ambiguous_alone, ambiguous_tail, basic, candidate_yields, check_quorum,
        cluster_of_five, cluster_of_one, cluster_of_seven, cluster_of_two, first_start,
        granting_redraws_fast_deadline, heartbeats, higher_term_deposes,
        hung_disk_does_not_campaign, late_votes, later_term_wins, learner_never_campaigns,
        learners_are_no_quorum, longer_log_wins, loyal_to_a_silent_leader, one_vote_per_term,
        refusal_adopts_the_term, refused_redial, refused_round_repeats, refused_rounds_end,
        refused_vote_round_repeats, reset_alone_is_not_enough, restart_remembers, restart_waits,
        split_vote, stale_leader_is_refused, stickiness, timeouts_are_random;
    prevote: after_restart_of_all, changes_nothing, isolated_member_keeps_its_term, late_answers,
        leader_alive, leader_appears, log_behind, lower_term_voter, needs_no_disk,
        refusal_teaches, two_pass;
    replication: absurd_numbers, absurd_term, blocked_socket, blocked_socket_of_a_candidate,
        bytes_per_append, commit_by_heartbeat, conflict_both_ways, conflict_by_term,
        duplicate_append, from_itself, heartbeat_truncates_nothing, impossible_ack,
        larger_than_the_window, learner, memory, memory_keeps_the_unapplied, missing_entries,
        nonsense, not_the_leader, pipelining, quarantine, read_log, read_log_failed,
        read_log_reconnected, read_log_stale, read_log_wrong, reconnect,
        stale_append_truncates_nothing, truncation_below_commit, two_leaders_one_term,
        window_bytes, window_count, write;
    commit: conflict_commits_nothing, follower_applies_what_is_durable,
        follower_commits_what_it_verified, leader_counts_itself_late, majority_of_five,
        never_backwards, no_op_commits_the_past, one_round, restart_knows_a_bound,
        without_the_leaders_disk;
    durability: ack_in_parts, ack_never_beyond_verified, ack_waits_for_disk, alone_on_its_disk,
        confirmed_and_lost, held_before_is_no_progress, answer_dies_with_its_connection,
        bytes_are_progress, candidate_waits_for_its_tail, candidate_waits_for_its_vote,
        held_answers_are_one, hung_leader_hands_over, hung_leader_steps_down,
        leader_loses_its_tail, leader_sends_first, match_is_progress, new_term_drops_what_is_held,
        no_progress, no_progress_while_idle, nothing_new_waits_too, persisted_twice,
        refusal_waits_for_disk, replaced_and_restored, replaced_entries, term_before_its_entries,
        term_gate, unsynced_entries_may_go, vote_kept_through_the_crash, vote_lost_with_the_crash,
        vote_waits_for_disk;
    membership: add, added_again, ask_elsewhere, caught_up_under_load, demote, demote_last,
        demote_refused, demote_resumed, demote_the_leader, fed_only_when_committed, grow_from_one,
        in_force_when_appended, join_the_running_job, joiner_waits, joint_check_quorum,
        joint_commit, joint_election, joint_exit_after_restart_of_all, joint_exit_by_next_leader,
        joint_exit_once, last_member, leader_removed, learner_votes, no_new_quorum,
        not_while_handing_over, one_at_a_time, only_with_a_committed_entry,
        patience_counts_progress, promoted_learner_decides, promotion_in_the_joint_state,
        promotion_resumed, refused, remove, remove_a_learner, removed_does_not_disrupt,
        removed_feeding_ends, removed_is_told, removed_must_campaign, repeated_request, replace,
        replace_in_place, replace_refused, replace_resumed, replace_the_leader, replace_undone,
        rolled_back, single_server_bug, undone, update, update_refused, update_rolled_back,
        vote_for_a_stranger;
    reads: asked_on_another_connection, blocked_socket, cluster_of_one, deposed, dies_with_its_connection, follower, joint,
        joint_old_half, learner, never_asked, old_answer, old_term_question, one_round,
        own_term_first, reconnected, reconnected_without_log, refused, rides_with_entries,
        stale_leader;
    snapshots: compacted, compacted_match, configuration, confirmed_by_probe, counts_as_heard,
        crash_before_the_reset, failed, from_a_later_term, heartbeat_finds_the_rest, install,
        joiner, never_backwards, not_yet_durable, removed, stale_term, suffix_dropped, suffix_kept;
    transfer: basic, best, deadline, loyal_followers, no_writes_meanwhile, nobody,
        order_before_durable, order_to_a_learner, order_to_a_pre_candidate, removed_target,
        stale_order, target_catches_up_first, target_dies, target_loses, wrong_targets;
    progress: answer_from_before, disconnected, lost_entries, match_never_falls,
        no_heartbeat_after_entries, old_term_answers, probe_lost, probe_then_replicate,
        restarted_follower, slow_disk, stale_conflict, window_after_loss;
    paper: figure_7, figure_8, figure_8_e, section_5_1_one_leader, section_5_3_log_matching,
        section_5_4_3_leader_completeness, section_8_read_your_term, thesis_4_2_2, thesis_4_2_3,
        thesis_4_3_joint, thesis_9_6;
}

/// A script that no test runs would prove nothing.
#[test]
fn every_script_is_listed() -> std::io::Result<()> {
    let mut found = BTreeSet::new();
    for directory in std::fs::read_dir(scripts())? {
        for file in std::fs::read_dir(directory?.path())? {
            let path = file?.path();
            let name = path.strip_prefix(scripts()).unwrap_or(&path);
            found.insert(name.to_string_lossy().into_owned());
        }
    }
    let listed: BTreeSet<String> = LISTED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, listed);
    Ok(())
}
