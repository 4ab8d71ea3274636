//! Many ids in few bytes: what mostly ascends by the same step is told by its differences.
//!
//! `1 1*3 7` begins with an id; what follows are differences to the id before, `d*n` standing for n times d: 1, 2, 3, 4, 11 here.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// A list of ids, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct IdList {
    text: String,
    last: Option<i64>,
    /// The step that is not written yet, and how often it came.
    step: Option<(i64, u64)>,
}

impl IdList {
    /// Adds an id.
    pub fn push(&mut self, id: i64) {
        let step = id.wrapping_sub(self.last.unwrap_or(0));
        match &mut self.step {
            Some((known, times)) if *known == step => *times += 1,
            _ => {
                self.write_step();
                if self.last.is_none() {
                    let _ = write!(self.text, "{id}");
                } else {
                    self.step = Some((step, 1));
                }
            }
        }
        self.last = Some(id);
    }

    fn write_step(&mut self) {
        if let Some((step, times)) = self.step.take() {
            // Writing to a string does not fail.
            let _ = if times > 1 { write!(self.text, " {step}*{times}") } else { write!(self.text, " {step}") };
        }
    }

    /// The ids. What cannot be understood ends them.
    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        let mut steps = self.text.split_ascii_whitespace().map_while(|part| {
            let (step, times) = part.split_once('*').unwrap_or((part, "1"));
            Some((step.parse::<i64>().ok()?, times.parse::<u64>().ok()?))
        });
        let (mut id, mut at, mut last) = (0i64, (0i64, 0u64), self.step);
        std::iter::from_fn(move || {
            while at.1 == 0 {
                at = steps.next().or_else(|| last.take())?;
            }
            at.1 -= 1;
            id = id.wrapping_add(at.0);
            Some(id)
        })
    }
}

impl From<String> for IdList {
    fn from(text: String) -> Self {
        Self { text, last: None, step: None }
    }
}

impl From<IdList> for String {
    fn from(mut ids: IdList) -> Self {
        ids.write_step();
        ids.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(ids: &[i64]) -> String {
        let mut list = IdList::default();
        ids.iter().for_each(|&id| list.push(id));
        assert_eq!(list.iter().collect::<Vec<_>>(), ids);
        list.into()
    }

    #[test]
    fn ids_are_told_by_their_differences() {
        assert_eq!(text(&[1, 2, 3, 4, 11]), "1 1*3 7");
        assert_eq!(text(&[5, 10, 15, 20, 21]), "5 5*3 1");
        assert_eq!(text(&[]), "");
        assert_eq!(IdList::from("3 x 4".to_owned()).iter().collect::<Vec<_>>(), [3]);
        proptest::proptest!(|(ids in proptest::collection::vec(proptest::num::i64::ANY, 1..50))| {
            let written = text(&ids);
            proptest::prop_assert_eq!(IdList::from(written).iter().collect::<Vec<_>>(), ids);
        });
    }
}
