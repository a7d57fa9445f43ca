//! Another checker, written by somebody else: `todc-utils`.

use raft_sim::linear::{HistoryOf, Model, Outcome, Register, RegisterInput, RegisterOutput};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

type Input = RegisterInput<u64>;
type Output = RegisterOutput<u64>;

/// The register once more, in its words: an operation has its answer, if there is one.
struct Theirs;

impl Specification for Theirs {
    type State = Option<u64>;
    type Operation = (Input, Option<Output>);

    fn init() -> Option<u64> {
        None
    }

    fn apply((input, output): &Self::Operation, state: &Option<u64>) -> (bool, Option<u64>) {
        match input {
            Input::Read => (*output == Some(Output::Value(*state)), *state),
            Input::Write(value) => (matches!(output, None | Some(Output::Written)), Some(*value)),
            Input::Cas { from, to } => {
                let swaps = *state == Some(*from);
                let right = output.as_ref().is_none_or(|told| *told == Output::Swapped(swaps));
                (right, if swaps { Some(*to) } else { *state })
            }
        }
    }
}

/// What it says. It knows no outcome that is unknown: such an operation is answered after all
/// others, when nobody looks any more.
pub(crate) fn is_legal(history: &HistoryOf<Register<u64>>) -> bool {
    let mut events = Vec::new();
    for (number, one) in history.operations().iter().enumerate() {
        let (end, output) = match &one.outcome {
            Outcome::Failed { .. } => continue,
            Outcome::Unknown if Register::default().is_read(&one.input) => continue,
            Outcome::Unknown => (u64::MAX, None),
            Outcome::Ok { at, output } => (at.position, Some(output.clone())),
        };
        let operation = (one.input.clone(), output);
        events.push(((one.called.position, number), Action::Call(operation.clone())));
        events.push(((end, number), Action::Response(operation)));
    }
    events.sort_by_key(|(at, _)| *at);
    let events: Vec<_> = events.into_iter().map(|((_, number), event)| (number, event)).collect();
    events.is_empty() || WGLChecker::<Theirs>::is_linearizable(History::from_actions(events))
}
