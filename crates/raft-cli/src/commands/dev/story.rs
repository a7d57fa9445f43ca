//! Who leads, told once: each server says it for itself.

use raft_node::Address;

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Story {
    leader: Option<String>,
    /// The last term whose leader was told: it has no other.
    term: u64,
}

/// What a server's line means to whoever watches the cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is not about who leads.
    Other,
    /// Told before, or out of date.
    Old,
    /// A change, in one line.
    Change(String),
}

impl Story {
    /// The leader, as far as its server still runs.
    pub(super) fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// A server has ended.
    pub(super) fn ended(&mut self, address: &Address) {
        if self.leader.as_deref() == Some(&*address.to_string()) {
            self.leader = None;
        }
    }

    /// A server wrote a line on standard error.
    pub(super) fn line(&mut self, from: &Address, line: &str) -> News {
        let from = from.to_string();
        let Some((subject, term)) = line.rsplit_once(" in term ") else { return News::Other };
        let Ok(term) = term.parse::<u64>() else { return News::Other };
        let leader = match subject {
            "no leader" => None,
            "this server leads" => Some(from.as_str()),
            other => match other.strip_suffix(" leads") {
                Some(address) if !address.contains(' ') => Some(address),
                _ => return News::Other,
            },
        };
        match leader {
            Some(leader) if term > self.term => {
                self.term = term;
                self.leader = Some(leader.to_owned());
                News::Change(format!("{leader} leads in term {term}"))
            }
            // One that starts, or is cut off, knows of no leader: that is nobody else's news.
            None if self.leader.is_some() && (term > self.term || self.leader() == Some(&from)) => {
                self.leader = None;
                News::Change(format!("no leader in term {term}"))
            }
            _ => News::Old,
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_node::Notice;

    use super::*;

    #[test]
    fn every_change_is_told_once() {
        let leads = |address: &str, term, own| {
            Notice::Leads { address: address.into(), term, own }.to_string()
        };
        let none = |term| Notice::NoLeader { term }.to_string();
        let change = |text: &str| News::Change(text.into());
        let steps = [
            (9990, none(1), News::Old),
            (9991, leads(":9991", 1, true), change(":9991 leads in term 1")),
            (9990, leads(":9991", 1, false), News::Old),
            (9992, none(1), News::Old),
            (9992, leads(":9991", 1, false), News::Old),
            (9992, none(2), change("no leader in term 2")),
            (9990, none(2), News::Old),
            (9990, leads(":9992", 2, false), change(":9992 leads in term 2")),
            (9992, leads(":9992", 2, true), News::Old),
            (9992, none(2), change("no leader in term 2")),
            (9990, leads(":9990", 4, true), change(":9990 leads in term 4")),
            (9991, leads(":9992", 2, false), News::Old),
            (9991, "listening at :9991".into(), News::Other),
            (9991, "what leads in term deposits".into(), News::Other),
        ];
        let mut story = Story::default();
        for (port, line, expected) in steps {
            assert_eq!(story.line(&Address::local(port), &line), expected, ":{port} {line}");
        }
        assert_eq!(story.leader(), Some(":9990"));
        story.ended(&Address::local(9991));
        assert_eq!(story.leader(), Some(":9990"));
        story.ended(&Address::local(9990));
        assert_eq!(story.leader(), None);
        let late = leads(":9990", 4, false);
        assert_eq!(story.line(&Address::local(9991), &late), News::Old);
    }
}
