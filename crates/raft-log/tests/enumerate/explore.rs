//! Cuts a life at every moment, recovers each disk that this can leave, and cuts the recovery in
//! turn.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use crate::disk::{GARBAGE, Image, Kept, Moment, Recorder};
use crate::life::{Part, Promise, Step, Story, Workload, live, live_on};
use crate::picks::{Effort, picks};
use crate::recover::{Outcome, start, start_again};
use crate::support::Random;

/// One disk: how it came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    pub workload: String,
    pub failing: Option<(u64, Kept)>,
    /// One after another: a life or a start is ended at such a moment.
    pub ends: Vec<End>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The process ends, and another one starts.
    Kill(usize),
    /// Power is cut; what was written since the last sync is picked.
    Cut(usize, Vec<u8>),
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub moments: u64,
    /// Disks built, equal ones too.
    pub built: u64,
    pub ambiguous: u64,
}

/// A disk on which a promise is broken.
#[derive(Debug)]
pub struct Failure {
    pub case: Case,
    pub what: String,
}

/// Explores one life.
pub struct Explorer<'a> {
    workload: &'a Workload,
    effort: Effort,
    pub tally: Tally,
    /// What became of each disk, by its hash.
    pub known: HashMap<u64, Outcome>,
}

const FIRST_START: u64 = 1001;
const SECOND_START: u64 = 1002;

impl<'a> Explorer<'a> {
    pub fn new(workload: &'a Workload, effort: Effort) -> Self {
        Self { workload, effort, tally: Tally::default(), known: HashMap::new() }
    }

    /// Cuts the life at every moment; one in which a sync fails only after that.
    pub fn explore(&mut self, failing: Option<(u64, Kept)>) -> Result<u64, Failure> {
        let name = self.workload.name.clone();
        let case = Case { workload: name, failing, ends: Vec::new() };
        let story = self.story(failing)?;
        for (at, moment) in story.moments.iter().enumerate().skip(story.failed_at.unwrap_or(0)) {
            let promise = &story.promises[moment.promise];
            self.cut(&case, at, moment, &mut |explorer, case, image| {
                let hash = image.hash();
                let seen = explorer.known.contains_key(&hash);
                let outcome = explorer.outcome(case, image, promise, FIRST_START)?;
                if !seen && hash.is_multiple_of(explorer.effort.again_one_in) {
                    let disk = Recorder::new(image, true);
                    explorer.go_on(case, (&disk, hash), Some(&outcome), promise)?;
                }
                Ok(())
            })?;
            if at % self.effort.kill_one_in == 0 {
                let mut case = case.clone();
                case.ends.push(End::Kill(at));
                let disk = Recorder::after_kill(moment);
                self.go_on(&case, (&disk, at as u64), None, promise)?;
            }
        }
        Ok(story.syncs)
    }

    /// The disk of this case, once more. Tells what happens before each end.
    pub fn replay(&mut self, case: &Case) -> Result<Outcome, Failure> {
        let fail = |what: String| Failure { case: case.clone(), what };
        let mut story = self.story(case.failing)?;
        for (depth, end) in case.ends.iter().enumerate() {
            let (End::Kill(at) | End::Cut(at, _)) = end;
            let moment = story.moments.get(*at).ok_or_else(|| fail("no such moment".into()))?;
            for (number, moment) in story.moments[..=*at].iter().enumerate() {
                println!("{depth}.{number}: {}", moment.next);
            }
            let promise = &story.promises[moment.promise];
            let (disk, number) = match end {
                End::Kill(at) => (Recorder::after_kill(moment), *at as u64),
                End::Cut(_, picks) => {
                    let choices = moment.state.choices();
                    for (choice, pick) in choices.iter().zip(picks) {
                        println!("{depth}: {choice:?} = {pick}");
                    }
                    let image = moment.state.after_power_cut(&choices, picks);
                    (Recorder::new(&image, true), image.hash())
                }
            };
            if depth + 1 == case.ends.len() {
                let seed = if depth == 0 { FIRST_START } else { SECOND_START };
                return self.start(&disk, seed, promise).map_err(fail);
            }
            story = self.story_on(&disk, promise, &follow_up(number)).map_err(fail)?;
        }
        Err(fail("the case has no end".into()))
    }

    fn story(&self, failing: Option<(u64, Kept)>) -> Result<Story, Failure> {
        let lived = catch_unwind(AssertUnwindSafe(|| live(self.workload, failing)));
        lived.unwrap_or_else(|panic| Err(text(&*panic))).map_err(|what| {
            let workload = self.workload.name.clone();
            Failure { case: Case { workload, failing, ends: Vec::new() }, what }
        })
    }

    fn cut(
        &mut self,
        case: &Case,
        at: usize,
        moment: &Moment,
        visit: &mut dyn FnMut(&mut Self, &Case, &Image) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.tally.moments += 1;
        let choices = moment.state.choices();
        let mut random = Random(at as u64 + 77 * case.ends.len() as u64);
        let mut case = case.clone();
        case.ends.push(End::Cut(at, Vec::new()));
        for picked in picks(&choices, &self.effort, &mut random) {
            let image = moment.state.after_power_cut(&choices, &picked);
            self.tally.built += 1;
            case.ends.pop();
            case.ends.push(End::Cut(at, picked));
            visit(self, &case, &image)?;
        }
        Ok(())
    }

    /// What a start makes of this disk; it keeps what was promised, and so does the next start.
    fn outcome(
        &mut self,
        case: &Case,
        image: &Image,
        promise: &Promise,
        seed: u64,
    ) -> Result<Outcome, Failure> {
        let fail = |what| Failure { case: case.clone(), what };
        let hash = image.hash();
        if let Some(outcome) = self.known.get(&hash) {
            outcome.keeps(promise).map_err(fail)?;
            return Ok(outcome.clone());
        }
        let outcome = self.start(&Recorder::new(image, false), seed, promise).map_err(fail)?;
        self.tally.ambiguous += u64::from(outcome.ambiguous);
        self.known.insert(hash, outcome.clone());
        Ok(outcome)
    }

    fn start(&self, disk: &Recorder, seed: u64, promise: &Promise) -> Result<Outcome, String> {
        let slot_bytes = self.workload.slot_bytes;
        let work = || {
            let outcome = start(disk, slot_bytes, seed)?;
            outcome.keeps(promise)?;
            start_again(disk, slot_bytes, &outcome)?;
            Ok(outcome)
        };
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(text(&*panic)))
    }

    /// Goes on, and cuts that life too. Until its first start returns nothing but what `first`
    /// is may be found, if that is given: all of it was on the disk.
    fn go_on(
        &mut self,
        case: &Case,
        (disk, number): (&Recorder, u64),
        first: Option<&Outcome>,
        promise: &Promise,
    ) -> Result<(), Failure> {
        let story = self.story_on(disk, promise, &follow_up(number));
        let story = story.map_err(|what| Failure { case: case.clone(), what })?;
        let whole = self.effort;
        self.effort = whole.second();
        for (at, moment) in story.moments.iter().enumerate() {
            let now = &story.promises[moment.promise];
            let first = first.filter(|first| now.epoch == promise.epoch && first.log.is_some());
            self.cut(case, at, moment, &mut |explorer, case, image| {
                let second = explorer.outcome(case, image, now, SECOND_START)?;
                let Some(first) = first.filter(|first| !second.same_state(first)) else {
                    return Ok(());
                };
                let what = format!("the start that was cut found {first:?}, now {second:?}");
                Err(Failure { case: case.clone(), what })
            })?;
        }
        self.effort = whole;
        Ok(())
    }

    fn story_on(
        &self,
        disk: &Recorder,
        promise: &Promise,
        steps: &[Step],
    ) -> Result<Story, String> {
        let lived = AssertUnwindSafe(|| live_on(disk, self.workload, promise, steps));
        catch_unwind(lived).unwrap_or_else(|panic| Err(text(&*panic)))
    }
}

/// What a member does after a crash: it starts, and sometimes it goes on.
fn follow_up(number: u64) -> Vec<Step> {
    let mut steps = vec![Step::Start];
    if (number / 7).is_multiple_of(8) {
        for sizes in [vec![100], vec![9000, 3000]] {
            steps.push(Step::Commit(vec![Part::Vote, Part::Entries(sizes)]));
        }
        steps.extend([Step::Spare, Step::Stop, Step::Start, Step::Stop, Step::Start]);
    }
    steps
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().cloned();
    words
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.workload)?;
        if let Some((number, kept)) = self.failing {
            write!(f, " fail={number}:{kept:?}")?;
        }
        for end in &self.ends {
            match end {
                End::Kill(at) => write!(f, " kill={at}")?,
                End::Cut(at, picks) => {
                    let digit = |pick: &u8| match DIGITS.get(usize::from(*pick)) {
                        Some(digit) => char::from(*digit),
                        None => '!',
                    };
                    write!(f, " cut={at}:{}", picks.iter().map(digit).collect::<String>())?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Case {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace();
        let workload = words.next().ok_or("name a workload")?.to_owned();
        let mut case = Self { workload, ..Self::default() };
        for word in words {
            let (key, value) = word.split_once('=').ok_or("a word without =")?;
            let (number, rest) = value.split_once(':').unwrap_or((value, ""));
            let at: usize = number.parse().map_err(|_| "not a number")?;
            match key {
                "fail" => {
                    let kept = [Kept::Nothing, Kept::Some, Kept::All]
                        .into_iter()
                        .find(|kept| format!("{kept:?}") == rest)
                        .ok_or("Nothing, Some or All is kept")?;
                    case.failing = Some((at as u64, kept));
                }
                "kill" => case.ends.push(End::Kill(at)),
                "cut" => {
                    let pick = |digit: u8| match DIGITS.iter().position(|d| *d == digit) {
                        Some(pick) => u8::try_from(pick).unwrap_or(GARBAGE),
                        None => GARBAGE,
                    };
                    case.ends.push(End::Cut(at, rest.bytes().map(pick).collect()));
                }
                _ => return Err("only fail, kill and cut are known"),
            }
        }
        Ok(case)
    }
}
