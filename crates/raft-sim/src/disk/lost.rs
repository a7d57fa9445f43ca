//! Damage of whole files: what a repaired file system or a mistaken hand makes of a data directory
//! while its server does not run. The log promises to notice each as long as nothing else is damaged:
//! every slot is named by another one or counted in `NODE`, and says whose it is.

use raft_node::random::Random;

use super::file::File;
use super::{Harm, Part, Platter, Scar, State, lock};

impl Platter {
    /// A slot's file is gone.
    pub fn lose_slot(&self, random: &mut Random) -> Option<Scar> {
        let mut state = lock(&self.0);
        let file = state.any_slot(random)?;
        state.names.remove(&file);
        state.durable_names.remove(&file);
        Some(scar(Harm::Gone, file))
    }

    /// A slot's file is another one, from the disk `other`.
    pub fn swap_slot(&self, other: &Self, random: &mut Random) -> Option<Scar> {
        let of_other = lock(&other.0).copy_of_slot(random)?;
        let mut state = lock(&self.0);
        let name = state.any_slot(random)?;
        let number = state.next_file;
        state.next_file += 1;
        state.files.insert(number, of_other);
        state.names.insert(name.clone(), number);
        state.durable_names.insert(name.clone(), number);
        Some(scar(Harm::Swapped, name))
    }
}

impl State {
    /// The name of one that is or was in use.
    fn any_slot(&self, random: &mut Random) -> Option<String> {
        let is_used = |file: &u64| {
            let first = self.files.get(file).and_then(|file| file.durable.page(0));
            first.is_some_and(|page| page.whole().iter().any(|byte| *byte != 0))
        };
        let slots = self.durable_names.iter();
        let slots: Vec<&String> = slots
            .filter(|(name, file)| name.ends_with(".seg") && is_used(file))
            .map(|(name, _)| name)
            .collect();
        slots.get(random.below(slots.len() as u64) as usize).map(|name| (*name).clone())
    }

    fn copy_of_slot(&self, random: &mut Random) -> Option<File> {
        let name = self.any_slot(random)?;
        let original = self.files.get(self.durable_names.get(&name)?)?;
        let mut copy = File::default();
        copy.cache.clone_from(&original.durable);
        copy.durable.clone_from(&original.durable);
        Some(copy)
    }
}

const fn scar(harm: Harm, file: String) -> Scar {
    Scar { harm, part: Part::WholeSlot, file, offset: 0, missed: None, forgets: None }
}
