//! The built-in state machine.
