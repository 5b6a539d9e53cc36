//! A schedule as a line of text, so that the way to a violation can be kept and gone again.
//!
//! | word | what happens |
//! |---|---|
//! | `2` | process 2 makes its next access |
//! | `2*5` | five times |
//! | `2-` | it gives up its claim, or gives its message back |
//! | `2+` | it goes on with its slice |
//! | `2~` | it looks at all slots again |
//! | `2_` | it forgets what it has in its hands |
//! | `2!` | it leaves |
//! | `2/01` | it begins to sweep for processes 0 and 1 |
//! | `d2` | its oldest store drains |
//! | `k2` | it is killed |
//! | `j2` | a newcomer takes its place |
//! | `close` | somebody closes the stream |
//! | `?2` | somebody makes the next access to ask whether a lap of slot 2 is over |

use crate::world::{Action, Choice};
use std::fmt::{Display, Formatter};
use std::str::FromStr;

/// What happens, one action after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(pub(crate) Vec<Action>);

/// A word of the text is none that stands for an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotASchedule(pub String);

impl Display for Schedule {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (number, run) in self.0.chunk_by(|one, next| one == next).enumerate() {
            let gap = if number == 0 { "" } else { " " };
            write!(f, "{gap}{}", Word(run[0]))?;
            if run.len() > 1 {
                write!(f, "*{}", run.len())?;
            }
        }
        Ok(())
    }
}

struct Word(Action);

impl Display for Word {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Action::Step { process, choice } => match choice {
                Choice::Only => write!(f, "{process}"),
                Choice::GiveUp => write!(f, "{process}-"),
                Choice::More => write!(f, "{process}+"),
                Choice::Afresh => write!(f, "{process}~"),
                Choice::Forget => write!(f, "{process}_"),
                Choice::Leave => write!(f, "{process}!"),
                Choice::Sweep { dead } => {
                    write!(f, "{process}/")?;
                    let mut dead = (0..8).filter(|it| dead >> it & 1 != 0);
                    dead.try_for_each(|it| write!(f, "{it}"))
                }
            },
            Action::Drain { process } => write!(f, "d{process}"),
            Action::Kill { process } => write!(f, "k{process}"),
            Action::Join { process } => write!(f, "j{process}"),
            Action::Close => write!(f, "close"),
            Action::Ask { slot } => write!(f, "?{slot}"),
        }
    }
}

impl FromStr for Schedule {
    type Err = NotASchedule;

    fn from_str(text: &str) -> Result<Self, NotASchedule> {
        let mut actions = Vec::new();
        for word in text.split_whitespace() {
            let run = read(word).ok_or_else(|| NotASchedule(word.to_owned()))?;
            actions.extend(run);
        }
        Ok(Self(actions))
    }
}

fn read(word: &str) -> Option<impl Iterator<Item = Action> + use<>> {
    let (one, times) = match word.split_once('*') {
        Some((one, times)) => (one, times.parse().ok()?),
        None => (word, 1),
    };
    Some(std::iter::repeat_n(action(one)?, times))
}

fn action(word: &str) -> Option<Action> {
    if word == "close" {
        return Some(Action::Close);
    }
    let of = |rest: &str| rest.parse().ok();
    if let Some(rest) = word.strip_prefix('?') {
        return Some(Action::Ask { slot: of(rest)? });
    }
    if let Some(rest) = word.strip_prefix('d') {
        return Some(Action::Drain { process: of(rest)? });
    }
    if let Some(rest) = word.strip_prefix('k') {
        return Some(Action::Kill { process: of(rest)? });
    }
    if let Some(rest) = word.strip_prefix('j') {
        return Some(Action::Join { process: of(rest)? });
    }
    let (process, choice) = if let Some((rest, dead)) = word.split_once('/') {
        let bits = dead.bytes().map(|it| match it {
            b'0'..=b'7' => Some(1 << (it - b'0')),
            _ => None,
        });
        let dead = bits.sum::<Option<u8>>()?;
        (rest, Choice::Sweep { dead })
    } else if let Some(rest) = word.strip_suffix('-') {
        (rest, Choice::GiveUp)
    } else if let Some(rest) = word.strip_suffix('+') {
        (rest, Choice::More)
    } else if let Some(rest) = word.strip_suffix('~') {
        (rest, Choice::Afresh)
    } else if let Some(rest) = word.strip_suffix('_') {
        (rest, Choice::Forget)
    } else if let Some(rest) = word.strip_suffix('!') {
        (rest, Choice::Leave)
    } else {
        (word, Choice::Only)
    };
    Some(Action::Step {
        process: of(process)?,
        choice,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let text = "0*7 2 2- 1+ 3~ 3_ 3! 3/01 d2*2 k1 j1 close ?1*2 2";
        let schedule: Schedule = text.parse().unwrap();
        assert_eq!(schedule.0.len(), 22);
        assert_eq!(schedule.to_string(), text);
        for wrong in ["x", "2*", "/1", "d", "2%", "2/8"] {
            assert_eq!(
                wrong.parse::<Schedule>(),
                Err(NotASchedule(wrong.to_owned()))
            );
        }
    }
}
