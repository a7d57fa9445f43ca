//! A failure with less around it: fewer troubles, a shorter run, fewer members.
//!
//! Troubles are left out by delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating
//! Failure-Inducing Input", 2002): halves first, then quarters, down to single ones. Each
//! trouble draws its chance from a stream of its own, so that leaving one out leaves the others
//! as they are. What counts is that the same checker speaks; what it says may differ.

use std::collections::BTreeSet;

use crate::plan::Plan;
use crate::run::Failure;

/// A run that fails in the same way with less.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// Which run.
    pub plan: Plan,
    /// How it fails.
    pub failure: Failure,
    /// How many runs were tried.
    pub runs: u64,
    /// Nothing more can be left out; otherwise somebody lost patience.
    pub is_minimal: bool,
}

/// Runs a plan: an error is a failure of that run.
type Run<'a> = dyn FnMut(&Plan) -> Result<(), Box<Failure>> + 'a;

/// Told before each run what is left so far; says whether to go on.
type GoOn<'a> = dyn FnMut(&Shrunk) -> bool + 'a;

struct Shrinker<'a> {
    run: &'a mut Run<'a>,
    go_on: &'a mut GoOn<'a>,
    best: Shrunk,
    patient: bool,
}

/// Shrinks a failed run for as long as `go_on` says so.
pub fn shrink<'a>(
    plan: &Plan,
    failure: Failure,
    run: &'a mut Run<'a>,
    go_on: &'a mut GoOn<'a>,
) -> Shrunk {
    let best = Shrunk { plan: plan.clone(), failure, runs: 0, is_minimal: false };
    let mut shrinker = Shrinker { run, go_on, best, patient: true };
    loop {
        let progress = [shrinker.shorten(), shrinker.leave_out(), shrinker.dismiss()];
        if !shrinker.patient || !progress.contains(&true) {
            break;
        }
    }
    Shrunk { is_minimal: shrinker.patient, ..shrinker.best }
}

impl Shrinker<'_> {
    /// Tries a plan: it becomes the best one if it fails in the same way.
    fn fails(&mut self, plan: Plan) -> bool {
        self.patient = self.patient && (self.go_on)(&self.best);
        if !self.patient {
            return false;
        }
        self.best.runs += 1;
        let Err(failure) = (self.run)(&plan) else { return false };
        let same = failure.violation.checker == self.best.failure.violation.checker;
        if same {
            (self.best.plan, self.best.failure) = (plan, *failure);
        }
        same
    }

    /// Trouble ends earlier.
    fn shorten(&mut self) -> bool {
        let failure = &self.best.failure;
        let last = failure.troubles.last().map_or(0, |trouble| trouble.time + 1);
        let mut length = last.min(failure.time + 1).max(1);
        let mut progress = false;
        while self.best.failure.length > length {
            let plan = Plan { length: Some(length), short: false, ..self.best.plan.clone() };
            if !self.fails(plan) {
                break;
            }
            progress = true;
            length = length.div_ceil(2);
        }
        progress
    }

    /// Fewer troubles.
    fn leave_out(&mut self) -> bool {
        let (mut pieces, mut progress) = (1, false);
        loop {
            let present: Vec<u32> =
                self.best.failure.troubles.iter().map(|trouble| trouble.number).collect();
            if present.is_empty() || pieces > 2 * present.len() {
                return progress;
            }
            let size = present.len().div_ceil(pieces).max(1);
            let smaller = present.chunks(size).any(|piece| {
                let without: BTreeSet<u32> =
                    self.best.plan.without.iter().chain(piece).copied().collect();
                self.fails(Plan { without, ..self.best.plan.clone() })
            });
            progress |= smaller;
            if !smaller {
                pieces *= 2;
            }
            if !self.patient {
                return progress;
            }
        }
    }

    /// Fewer members.
    fn dismiss(&mut self) -> bool {
        let members = self.best.failure.members;
        (1..members)
            .any(|count| self.fails(Plan { members: Some(count), ..self.best.plan.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::Violation;
    use crate::schedule::Trouble;

    /// Ten troubles a second. It fails once all the `guilty` ones came, with three members at
    /// least.
    fn run(plan: &Plan, guilty: &[u32]) -> Result<(), Box<Failure>> {
        let length = plan.length.unwrap_or(10_000);
        let troubles: Vec<Trouble> = (0..100)
            .filter(|number| !plan.without.contains(number) && u64::from(*number) * 100 < length)
            .map(|number| Trouble {
                number,
                time: u64::from(number) * 100,
                kind: "kill",
                text: String::new(),
            })
            .collect();
        let members = plan.members.unwrap_or(5);
        let came = |guilty: &u32| troubles.iter().any(|trouble| trouble.number == *guilty);
        if members < 3 || !guilty.iter().all(came) {
            return Ok(());
        }
        let violation = Violation { checker: "commit", what: String::new() };
        let time = length + 500;
        Err(Box::new(Failure {
            violation,
            time,
            length,
            members,
            due: 100,
            troubles,
            story: Vec::new(),
        }))
    }

    fn shrunk(guilty: &[u32], patience: u64) -> Shrunk {
        let plan = Plan { short: true, ..Plan::of_seed(1) };
        let failure = run(&plan, guilty).expect_err("it fails");
        let mut run = |plan: &Plan| run(plan, guilty);
        shrink(&plan, *failure, &mut run, &mut |best| best.runs < patience)
    }

    #[test]
    fn only_what_it_takes_is_left() {
        for guilty in [&[][..], &[0], &[99], &[17, 18], &[3, 40, 77]] {
            let shrunk = shrunk(guilty, 10_000);
            let left: Vec<u32> =
                shrunk.failure.troubles.iter().map(|trouble| trouble.number).collect();
            assert_eq!(left, guilty);
            assert_eq!((shrunk.plan.members, shrunk.plan.short), (Some(3), false));
            let last = guilty.last().map_or(0, |last| u64::from(*last) * 100 + 1);
            assert!(shrunk.failure.length <= last.max(1), "{:?}", shrunk.plan);
            assert!(shrunk.is_minimal && shrunk.runs < 200, "{} runs", shrunk.runs);
        }
    }

    #[test]
    fn patience_ends() {
        let shrunk = shrunk(&[3, 40, 77], 5);
        assert_eq!((shrunk.runs, shrunk.is_minimal), (5, false));
    }
}
