//! What clients asked for and what they were told, in the order in which it happened.

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Its place among all events of the history: this is what counts.
    pub position: u64,
    /// What the clock said: only people look at it.
    pub time: u64,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<O> {
    /// It took effect between its call and this moment, with this answer.
    Ok {
        /// When the client heard of it.
        at: Moment,
        /// The answer.
        output: O,
    },
    /// It surely has no effect, then or later.
    Failed {
        /// When the client heard of it.
        at: Moment,
    },
    /// It takes effect at any time after its call, or never.
    Unknown,
}

/// Something that a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<I, O> {
    /// Who asked. A client may have several operations under way.
    pub client: u64,
    /// For what.
    pub input: I,
    /// When.
    pub called: Moment,
    /// What it came to.
    pub outcome: Outcome<O>,
}

/// A history: operations by their calls, and the order of all calls and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<I, O> {
    operations: Vec<Operation<I, O>>,
    events: u64,
}

impl<I, O> Operation<I, O> {
    /// The answer, if there was one, and when.
    pub const fn answer(&self) -> Option<(Moment, &O)> {
        match &self.outcome {
            Outcome::Ok { at, output } => Some((*at, output)),
            Outcome::Failed { .. } | Outcome::Unknown => None,
        }
    }

    /// Whether it surely had no effect.
    pub const fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }
}

impl<I, O> Default for History<I, O> {
    fn default() -> Self {
        Self { operations: Vec::new(), events: 0 }
    }
}

impl<I, O> History<I, O> {
    /// A client calls. Until more is said of it, the outcome of this operation is unknown. Returns
    /// its number.
    pub fn call(&mut self, client: u64, time: u64, input: I) -> usize {
        let called = self.moment(time);
        self.operations.push(Operation { client, input, called, outcome: Outcome::Unknown });
        self.operations.len() - 1
    }

    /// The client gets an answer.
    pub fn ok(&mut self, operation: usize, time: u64, output: O) {
        let at = self.moment(time);
        self.end(operation, Outcome::Ok { at, output });
    }

    /// The client is told that this surely has no effect.
    pub fn failed(&mut self, operation: usize, time: u64) {
        let at = self.moment(time);
        self.end(operation, Outcome::Failed { at });
    }

    fn moment(&mut self, time: u64) -> Moment {
        self.events += 1;
        Moment { position: self.events, time }
    }

    fn end(&mut self, operation: usize, outcome: Outcome<O>) {
        let operation = &mut self.operations[operation];
        assert!(matches!(operation.outcome, Outcome::Unknown), "an operation ends once");
        operation.outcome = outcome;
    }

    /// All operations, by their calls.
    #[must_use]
    pub fn operations(&self) -> &[Operation<I, O>] {
        &self.operations
    }

    /// How many operations there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// These operations, which keep their moments.
    #[must_use]
    pub fn of(operations: Vec<Operation<I, O>>) -> Self {
        let ends = operations.iter().map(|operation| match &operation.outcome {
            Outcome::Ok { at, .. } | Outcome::Failed { at } => at.position,
            Outcome::Unknown => operation.called.position,
        });
        let events = ends.max().unwrap_or_default();
        debug_assert!(operations.is_sorted_by_key(|operation| operation.called));
        Self { operations, events }
    }
}

impl<I: Clone, O: Clone> History<I, O> {
    /// What was known when this position had been reached: nothing was called later, and what was
    /// answered later was unknown.
    #[must_use]
    pub fn until(&self, position: u64) -> Self {
        let early = self.operations.iter().filter(|one| one.called.position <= position);
        let known = |operation: &Operation<I, O>| {
            let mut operation = operation.clone();
            if let Outcome::Ok { at, .. } | Outcome::Failed { at } = &operation.outcome
                && at.position > position
            {
                operation.outcome = Outcome::Unknown;
            }
            operation
        };
        Self::of(early.map(known).collect())
    }
}
