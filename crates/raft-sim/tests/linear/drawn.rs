//! Counter-examples as people see them.

use raft_sim::linear::{
    self, HistoryOf, Limits, List, ListInput, Model, Place, Register, RegisterInput,
    RegisterOutput, Verdict,
};

/// What is drawn of an illegal history.
fn drawing<M: Model>(model: &M, history: &HistoryOf<M>) -> String {
    match linear::check(model, history, Limits::default()).verdict {
        Verdict::Illegal(example) => example.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stale_read() {
    let mut history = HistoryOf::<Register<u64>>::default();
    for value in 0..20 {
        let time = 10 * value;
        let write = history.call(1, time, RegisterInput::Write(value));
        history.ok(write, time + 3, RegisterOutput::Written);
        let read = history.call(12, time + 4, RegisterInput::Read);
        let lost = history.call(3, time + 4, RegisterInput::Write(1000 + value));
        if value % 3 == 0 {
            history.failed(lost, time + 5);
        }
        let found = if value == 17 { 15 } else { value };
        history.ok(read, time + 6, RegisterOutput::Value(Some(found)));
    }
    let expected = "\
no order explains these 3 of 60 operations:
    ms 150     153       173        176
     1 [-w(15)-] [-w(17)-]
    12                     [-r = 15-]
                           ^^^^^^^^^^ nothing explains this answer
";
    assert_eq!(drawing(&Register::default(), &history), expected);
}

#[test]
fn a_write_that_surely_failed_and_one_that_nobody_knows_of() {
    let mut history = HistoryOf::<Register<u64>>::default();
    let failed = history.call(1, 0, RegisterInput::Write(1));
    history.call(1, 1, RegisterInput::Write(2));
    history.failed(failed, 7);
    for (client, value) in [(2, 2), (3, 1), (2, 1)] {
        let read = history.call(client, 8 + client, RegisterInput::Read);
        history.ok(read, 9 + client, RegisterOutput::Value(Some(value)));
    }
    let expected = "\
no order explains these 2 of 5 operations:
    ms 0             7 11      12
     1 [-w(1) failed-]
     3                 [-r = 1-]
                       ^^^^^^^^^ nothing explains this answer
";
    assert_eq!(drawing(&Register::default(), &history), expected);
}

#[test]
fn a_value_that_is_gone_again() {
    let mut history = HistoryOf::<Register<u64>>::default();
    let first = history.call(1, 0, RegisterInput::Write(1));
    history.ok(first, 10, RegisterOutput::Written);
    history.call(2, 11, RegisterInput::Write(2));
    for (time, value) in [(120, 2), (1400, 1)] {
        let read = history.call(3, time, RegisterInput::Read);
        history.ok(read, time + 1, RegisterOutput::Value(Some(value)));
    }
    let expected = "\
no order explains these 4 of 4 operations:
    ms 0      10        121       1401
     1 [-w(1)-]
     2          [-------w(2)------- \u{2026}
     3          [-r = 2-] [-r = 1-]
                          ^^^^^^^^^ nothing explains this answer
";
    assert_eq!(drawing(&Register::default(), &history), expected);
}

#[test]
fn an_append_that_is_there_twice() {
    let mut history = HistoryOf::<List<String>>::default();
    let mut list = Vec::new();
    for number in 1..40_u64 {
        let value = if number % 7 == 0 { "count".to_owned() } else { format!("line {number}") };
        let append = history.call(number % 3, number, ListInput::Append(value.clone()));
        list.push(value);
        if number == 20 {
            list.push("line 20".to_owned());
        }
        let count = (number % 7 == 0).then_some(list.len() as u64);
        let at = Some(10 * number);
        history.ok(append, number, Place { at, count, list: None });
    }
    let expected = "\
no order explains these 3 of 39 operations:
    ms 7                             14                             21
     0                                                              [-append(count) @210 count 4-]
                                                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ \
                    nothing explains this answer
     1 [-append(count) @70 count 1-]
     2                               [-append(count) @140 count 2-]
";
    assert_eq!(drawing(&List::default(), &history), expected);
}
