//! Which of the states that a power cut can leave are tried: all of them if they are few.

use std::collections::BTreeSet;

use crate::disk::{Choice, GARBAGE};
use crate::support::Random;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// All states of a cut that has no more than so many.
    pub all: u64,
    /// Else, besides the corners: so many drawn by pages, and as many by sectors.
    pub drawn: u64,
    /// Sectors that hold garbage, each with nothing, everything and anything else written.
    pub garbage: u64,
    /// From one in so many disks a member goes on, and power is cut again at every moment.
    pub again_one_in: u64,
    /// At one in so many moments only the process ends, the next one goes on, and power is cut
    /// at every moment of that.
    pub kill_one_in: usize,
}

impl Effort {
    /// For what comes after the first crash: there is much of it.
    pub fn second(&self) -> Self {
        Self { all: self.all.min(32), drawn: self.drawn / 12, garbage: 1, ..*self }
    }
}

/// One state picked for each choice, in all the ways that are tried.
pub fn picks(choices: &[Choice], effort: &Effort, random: &mut Random) -> Vec<Vec<u8>> {
    let mut base: Vec<u8> = Vec::new();
    for choice in choices {
        let pick = if choice.live { 0 } else { random.below(u64::from(choice.options)) };
        base.push(u8::try_from(pick).expect("one of the options"));
    }
    let live: Vec<usize> = (0..choices.len()).filter(|at| choices[*at].live).collect();
    let product = live
        .iter()
        .try_fold(1_u64, |product, at| product.checked_mul(u64::from(choices[*at].options)));
    let mut found = BTreeSet::from([base.clone()]);
    if product.is_some_and(|product| product <= effort.all) {
        every_combination(choices, &live, &base, &mut found);
    } else {
        corners(choices, &live, &base, &mut found);
        for _ in 0..effort.drawn {
            found.insert(by_pages(choices, &live, &base, random));
            found.insert(any(choices, &live, &base, random));
        }
    }
    let sectors: Vec<usize> = live.iter().copied().filter(|at| choices[*at].is_sector()).collect();
    for at in 0..effort.garbage.min(sectors.len() as u64) {
        let few = sectors.len() as u64 <= effort.garbage;
        let drawn = if few { at } else { random.below(sectors.len() as u64) };
        let place = sectors[usize::try_from(drawn).expect("a place")];
        let newest = newest(choices, &live, &base);
        for mut picks in [base.clone(), newest, any(choices, &live, &base, random)] {
            picks[place] = GARBAGE;
            found.insert(picks);
        }
    }
    found.into_iter().collect()
}

fn every_combination(
    choices: &[Choice],
    live: &[usize],
    base: &[u8],
    found: &mut BTreeSet<Vec<u8>>,
) {
    let mut picks = base.to_vec();
    loop {
        found.insert(picks.clone());
        let mut left = live.iter();
        loop {
            let Some(at) = left.next() else { return };
            picks[*at] += 1;
            if picks[*at] < choices[*at].options {
                break;
            }
            picks[*at] = 0;
        }
    }
}

fn newest(choices: &[Choice], live: &[usize], base: &[u8]) -> Vec<u8> {
    let mut picks = base.to_vec();
    live.iter().for_each(|at| picks[*at] = choices[*at].options - 1);
    picks
}

/// Everything; up to some place, from some place on, one alone, all but one.
fn corners(choices: &[Choice], live: &[usize], base: &[u8], found: &mut BTreeSet<Vec<u8>>) {
    let all = newest(choices, live, base);
    found.insert(all.clone());
    for (place, at) in live.iter().enumerate() {
        let (mut until, mut from) = (all.clone(), all.clone());
        live[place..].iter().for_each(|at| until[*at] = 0);
        live[..place].iter().for_each(|at| from[*at] = 0);
        let (mut alone, mut without) = (base.to_vec(), all.clone());
        alone[*at] = choices[*at].options - 1;
        without[*at] = 0;
        found.extend([until, from, alone, without]);
    }
}

fn by_pages(choices: &[Choice], live: &[usize], base: &[u8], random: &mut Random) -> Vec<u8> {
    let mut picks = base.to_vec();
    let mut before = None;
    let mut written = false;
    for at in live {
        let page = choices[*at].page();
        if before != Some(page) {
            written = random.chance(2);
            before = Some(page);
        }
        picks[*at] = if written { choices[*at].options - 1 } else { 0 };
    }
    picks
}

fn any(choices: &[Choice], live: &[usize], base: &[u8], random: &mut Random) -> Vec<u8> {
    let mut picks = base.to_vec();
    for at in live {
        let pick = random.below(u64::from(choices[*at].options));
        picks[*at] = u8::try_from(pick).expect("one of the options");
    }
    picks
}
