//! What the caller and its helpers say to each other, over a socket that the helpers have as their input.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::Limits;

/// The longest order, in bytes: far more than a manifest's arguments can be.
const MAX_ORDER: u32 = 1024 * 1024;

/// How a test is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confinement {
    /// Own namespaces, with Landlock and the filter inside where the kernel has them.
    Namespaces,
    /// Landlock and the filter.
    Landlock,
    /// Limits only; the host accepted that.
    None,
}

impl Confinement {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
            Self::None => "none",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Namespaces, Self::Landlock, Self::None];
        all.into_iter().find(|one| one.word() == word)
    }
}

/// What was in force while a test ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a layer that is there or not")]
pub struct Protection {
    /// How it was confined.
    pub confinement: Confinement,
    /// Whether processes were counted apart from the host's, in a user namespace of their own.
    pub own_users: bool,
    /// Whether it had a `/proc` of its own processes; without one it had none.
    pub own_proc: bool,
    /// Whether Landlock bound it.
    pub landlock: bool,
    /// Whether the filter of system calls bound it.
    pub filter: bool,
    /// The user it ran as.
    pub user: u32,
}

impl Protection {
    /// Whether there was a way to keep it from the network.
    pub fn cuts_network(&self) -> bool {
        self.confinement == Confinement::Namespaces || self.filter
    }

    /// What was in force, and what was not, in one line for people.
    pub fn words(&self) -> String {
        let namespaces = self.confinement == Confinement::Namespaces;
        let layers = [
            (namespaces, "namespaces of its own (files, processes, network, IPC)"),
            (namespaces && self.own_users, "a user namespace of its own"),
            (self.landlock, "Landlock"),
            (self.filter, "a filter of system calls"),
        ];
        let named = |wanted: bool| {
            let words: Vec<&str> = layers.iter().filter(|(on, _)| *on == wanted).map(|(_, w)| *w).collect();
            words.join(", ")
        };
        let (on, off) = (named(true), named(false));
        let on = if on.is_empty() { "limits only" } else { &on };
        let mut words = format!("ran as user {} with {on}", self.user);
        if !off.is_empty() {
            words.push_str("; not in force here: ");
            words.push_str(&off);
        }
        words
    }
}

/// What the inner helper is told. No program: only say what is in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    pub folder: PathBuf,
    pub read: Vec<PathBuf>,
    pub scratch: PathBuf,
    pub confinement: Confinement,
    pub seconds: u64,
    pub limits: Limits,
}

/// What the helpers say, one line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// This way of confining is not to be had here. The test was not started.
    Unavailable(String),
    /// The test is started now.
    Ready(Protection),
    /// The test could not be started.
    NotStarted(String),
    /// It ended.
    Ended { code: Option<i32>, signal: Option<i32> },
    /// It was ended: too much memory in use.
    Memory,
    /// It was ended: too much written.
    Scratch,
}

/// The bytes that an order travels as; `None` when it is too long.
pub(crate) fn order_bytes(order: &Order) -> Option<Vec<u8>> {
    let text = serde_json::to_vec(order).ok()?;
    let length = u32::try_from(text.len()).ok().filter(|length| *length <= MAX_ORDER)?;
    Some([length.to_be_bytes().as_slice(), &text].concat())
}

pub(crate) fn receive_order(from: &mut impl Read) -> io::Result<Order> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_ORDER {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length as usize];
    from.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

pub(crate) fn say(to: &mut impl Write, word: &Word) -> io::Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// The words in what has come so far.
pub(crate) fn words(bytes: &[u8]) -> Vec<Word> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_sent_and_only_so_much_is_read() {
        let order = Order {
            argv: vec!["true".to_owned()],
            env: vec![("A".to_owned(), "b".to_owned())],
            folder: "/a".into(),
            read: vec!["/usr".into()],
            scratch: "/b".into(),
            confinement: Confinement::Landlock,
            seconds: 3,
            limits: Limits::default(),
        };
        let mut bytes = order_bytes(&order).unwrap();
        bytes.extend_from_slice(b"rest");
        let mut from = bytes.as_slice();
        assert_eq!(receive_order(&mut from).unwrap().argv, order.argv);
        assert_eq!(from, b"rest");
        assert!(receive_order(&mut [0xff; 100].as_slice()).is_err());
    }

    #[test]
    fn what_is_missing_is_said() {
        let protection = Protection {
            confinement: Confinement::Landlock,
            own_users: false,
            own_proc: false,
            landlock: true,
            filter: false,
            user: 7,
        };
        assert!(!protection.cuts_network());
        let words = protection.words();
        assert!(
            words.starts_with("ran as user 7 with Landlock; not in force here: namespaces"),
            "{words}"
        );
    }
}
