//! What a parent tells its worker, through one environment variable.

use std::io;
use std::os::fd::RawFd;
use std::sync::OnceLock;

/// The variable: the fields of [`Assignment`], separated by `;`.
pub(crate) const VARIABLE: &str = "IPC_PROCESS_WORKER";

const VERSION: &str = "2";

/// Whether a worker may start workers in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offspring {
    Allowed,
    Forbidden,
}

impl Offspring {
    fn name(self) -> &'static str {
        match self {
            Self::Allowed => "children",
            Self::Forbidden => "childless",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Allowed, Self::Forbidden]
            .into_iter()
            .find(|it| it.name() == name)
    }
}

/// A worker's identity, what it may do, and the numbers of the descriptors that it inherits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) scope: String,
    pub(crate) role: String,
    pub(crate) name: String,
    pub(crate) parent_pid: u32,
    pub(crate) offspring: Offspring,
    pub(crate) report: RawFd,
    pub(crate) params: Option<RawFd>,
    pub(crate) fds: Vec<(String, RawFd)>,
}

/// What this process found in its environment.
pub(crate) enum Received {
    Nothing,
    Assignment(Assignment),
    Unreadable(String),
}

/// What this process was told, read at the first call and kept: the variable is
/// removed before a role runs.
pub(crate) fn received() -> &'static Received {
    static RECEIVED: OnceLock<Received> = OnceLock::new();
    RECEIVED.get_or_init(|| match std::env::var_os(VARIABLE) {
        None => Received::Nothing,
        Some(text) => match text.to_str().and_then(Assignment::decode) {
            Some(assignment) => Received::Assignment(assignment),
            None => Received::Unreadable(text.to_string_lossy().into_owned()),
        },
    })
}

impl Assignment {
    pub(crate) fn encode(&self) -> String {
        let mut text = format!(
            "{VERSION};{};{};{};{};{};{};",
            escape(&self.scope),
            escape(&self.role),
            escape(&self.name),
            self.parent_pid,
            self.offspring.name(),
            self.report,
        );
        if let Some(params) = self.params {
            text += &params.to_string();
        }
        for (key, fd) in &self.fds {
            text += &format!(";{}={fd}", escape(key));
        }
        text
    }

    fn decode(text: &str) -> Option<Self> {
        let mut fields = text.split(';');
        if fields.next()? != VERSION {
            return None;
        }
        Some(Self {
            scope: unescape(fields.next()?)?,
            role: unescape(fields.next()?)?,
            name: unescape(fields.next()?)?,
            parent_pid: fields.next()?.parse().ok()?,
            offspring: Offspring::from_name(fields.next()?)?,
            report: fields.next()?.parse().ok()?,
            params: match fields.next()? {
                "" => None,
                number => Some(number.parse().ok()?),
            },
            fds: fields
                .map(|field| {
                    let (key, fd) = field.split_once('=')?;
                    Some((unescape(key)?, fd.parse().ok()?))
                })
                .collect::<Option<_>>()?,
        })
    }

    pub(crate) fn error(&self, source: io::Error) -> crate::Error {
        crate::Error::Assignment {
            name: self.name.clone(),
            source,
        }
    }
}

/// Percent-encodes all but plain visible ASCII, so that names may contain
/// anything, even NUL, which no environment variable can hold.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | b';' | b'=' => escaped += &format!("%{byte:02x}"),
            b'!'..=b'~' => escaped.push(char::from(byte)),
            _ => escaped += &format!("%{byte:02x}"),
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('%') {
        bytes.extend(plain.as_bytes());
        bytes.push(u8::from_str_radix(escaped.get(..2)?, 16).ok()?);
        rest = &escaped[2..];
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for name in ["plain", "", "a;b=c%d", "Zoë\0\n;", "100%"] {
            for (params, offspring) in [(None, Offspring::Allowed), (Some(7), Offspring::Forbidden)]
            {
                for fds in [vec![], vec![(name.to_owned(), 8), ("x".to_owned(), 9)]] {
                    let assignment = Assignment {
                        scope: name.to_owned(),
                        role: format!("{name}r"),
                        name: format!("n{name}"),
                        parent_pid: 42,
                        offspring,
                        report: 6,
                        params,
                        fds,
                    };
                    let text = assignment.encode();
                    assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text}");
                    assert_eq!(Assignment::decode(&text), Some(assignment));
                }
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "1;s;r;n;1;children;3;",
            "2;s;r;n;1;children;3",
            "2;s;r;n;x;children;3;",
            "2;s;r;n;1;any;3;",
            "2;s;r;n;1;children;;",
            "2;s;r;n;1;children;3;4;5",
            "2;s;r;n;1;children;3;;k=",
            "2;%;r;n;1;children;3;",
            "2;%zz;r;n;1;children;3;",
            "2;%é;r;n;1;children;3;",
            "2;%ff;r;n;1;children;3;",
        ] {
            assert_eq!(Assignment::decode(text), None, "{text}");
        }
    }
}
