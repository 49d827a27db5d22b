//! Whether an export is what was witnessed.

use std::{collections::BTreeMap, fmt};

use jiff::SignedDuration;
use uuid::Uuid;

use super::{checkpoint::Checkpoint, entry::ExportedEntry, merkle::Tree};
use crate::ids::Digest;

/// How far an entry's own time may be from that of the checkpoints around it: long transactions, clocks that differ,
/// and what waited while nobody sealed.
const TOLERANCE: SignedDuration = SignedDuration::from_hours(1);
/// Entries that get their places under one checkpoint, at most: after so many at once, others may still wait.
pub const BATCH: u64 = 1000;
/// More findings than this are not listed; one is enough.
const MAX_FINDINGS: usize = 100;

/// Something that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A place in the tree is missing, or comes twice.
    Gap {
        /// The place that was wanted.
        wanted: u64,
        /// The one that came.
        found: u64,
    },
    /// The entry of a place is gone.
    Removed(u64),
    /// The entry is not what was written down at its place.
    Edited(u64),
    /// Somewhere after `after` and up to `until` entries were changed, removed, added or reordered.
    Differs {
        /// The size of the last checkpoint that holds.
        after: u64,
        /// The size of the first that does not.
        until: u64,
    },
    /// The end is cut off: a checkpoint witnesses more entries than there are.
    CutOff {
        /// Entries there are.
        has: u64,
        /// Entries that were witnessed.
        witnessed: u64,
    },
    /// Two signed checkpoints contradict each other: the log was forked.
    Forked(u64),
    /// An entry says another time than the checkpoints around it.
    Misdated(u64),
    /// An entry has no place, although those after it have one: it was put in past the chain.
    PutIn(Uuid),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { wanted, found } => write!(f, "entry {wanted} is missing or out of order: entry {found} came"),
            Self::Removed(seq) => write!(f, "entry {seq} was removed"),
            Self::Edited(seq) => write!(f, "entry {seq} was edited"),
            Self::Differs { after, until } => write!(
                f,
                "what was witnessed differs between entries {after} and {until}: edited, removed, added or reordered"
            ),
            Self::CutOff { has, witnessed } => {
                write!(
                    f,
                    "the end is cut off: {witnessed} entries were witnessed and {has} are there"
                )
            }
            Self::Forked(size) => write!(f, "two signed checkpoints of {size} entries contradict each other"),
            Self::Misdated(seq) => write!(f, "entry {seq} says another time than the checkpoints around it"),
            Self::PutIn(id) => write!(f, "entry {id} was put in past the chain"),
        }
    }
}

/// What a verification came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries with a place.
    pub entries: u64,
    /// Entries of these that a checkpoint covers.
    pub covered: u64,
    /// Entries that wait for a place.
    pub waiting: u64,
    /// Checkpoints that were compared.
    pub checkpoints: usize,
    /// What should not be; empty when all is well.
    pub findings: Vec<Finding>,
}

/// Goes through an export line by line.
#[derive(Debug)]
pub struct Verifier {
    checkpoints: BTreeMap<u64, Checkpoint>,
    tree: Tree,
    /// The last checkpoint that held.
    held: Option<Checkpoint>,
    /// The last that held and left nothing waiting: what comes after it was written after it.
    base: Option<Checkpoint>,
    broken: bool,
    report: Report,
}

impl Verifier {
    /// Against checkpoints whose signatures were verified, from whatever witness they come.
    pub fn new(checkpoints: impl IntoIterator<Item = Checkpoint>) -> Self {
        let mut report = Report::default();
        let mut by_size: BTreeMap<u64, Checkpoint> = BTreeMap::new();
        for checkpoint in checkpoints {
            match by_size.get(&checkpoint.size) {
                Some(known) if known.root != checkpoint.root => report.findings.push(Finding::Forked(checkpoint.size)),
                // The earliest of the same head says most about the times of its entries.
                Some(known) if known.at <= checkpoint.at => {}
                _ => {
                    by_size.insert(checkpoint.size, checkpoint);
                }
            }
        }
        report.checkpoints = by_size.len();
        Self {
            checkpoints: by_size,
            tree: Tree::default(),
            held: None,
            base: None,
            broken: false,
            report,
        }
    }

    /// The next line; those with a place come first, in its order.
    pub fn line(&mut self, line: &ExportedEntry) {
        let Some(seq) = line.seq else {
            return self.without_place(line);
        };
        if seq != self.tree.size() {
            let wanted = self.tree.size();
            self.find(Finding::Gap { wanted, found: seq });
        }
        let leaf = match &line.entry {
            None => {
                self.find(Finding::Removed(seq));
                line.leaf
            }
            Some(entry) => {
                let leaf = entry.leaf().ok();
                if leaf != line.leaf {
                    self.find(Finding::Edited(seq));
                }
                self.check_time(seq, line);
                leaf
            }
        };
        self.report.entries += 1;
        self.tree.push(leaf.unwrap_or(Digest([0; 32])));
        if let Some(checkpoint) = self.checkpoints.get(&self.tree.size()) {
            self.compare(checkpoint.clone());
        }
    }

    fn without_place(&mut self, line: &ExportedEntry) {
        self.report.waiting += 1;
        if let (Some(entry), Some(base)) = (&line.entry, &self.base)
            && base.at.duration_since(entry.created_at()) > TOLERANCE
        {
            self.find(Finding::PutIn(entry.id));
        }
    }

    fn check_time(&mut self, seq: u64, line: &ExportedEntry) {
        let Some(entry) = &line.entry else { return };
        let at = entry.created_at();
        let next = self
            .checkpoints
            .range(seq + 1..)
            .next()
            .map(|(_, checkpoint)| checkpoint);
        let late = next.is_some_and(|next| at.duration_since(next.at) > TOLERANCE);
        // What the first checkpoint covers was there before anybody sealed; what comes after a full batch may have waited
        // as long as that.
        let early = self
            .base
            .as_ref()
            .is_some_and(|base| base.at.duration_since(at) > TOLERANCE);
        if late || early {
            self.find(Finding::Misdated(seq));
        }
    }

    fn compare(&mut self, checkpoint: Checkpoint) {
        self.report.covered = checkpoint.size;
        if checkpoint.root == self.tree.root() {
            let before = self.held.as_ref().map_or(0, |held| held.size);
            if checkpoint.size - before < BATCH {
                self.base = Some(checkpoint.clone());
            }
            self.held = Some(checkpoint);
        } else if !self.broken {
            // Everything after a change differs too: the first says where.
            self.broken = true;
            let after = self.held.as_ref().map_or(0, |held| held.size);
            self.find(Finding::Differs {
                after,
                until: checkpoint.size,
            });
        }
    }

    fn find(&mut self, finding: Finding) {
        if self.report.findings.len() < MAX_FINDINGS {
            self.report.findings.push(finding);
        }
    }

    /// The end of the export.
    pub fn end(mut self) -> Report {
        let witnessed = self.checkpoints.keys().next_back().copied().unwrap_or(0);
        let has = self.tree.size();
        if witnessed > has {
            self.find(Finding::CutOff { has, witnessed });
        }
        self.report
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::audit::entry::AuditEntry;

    fn entry(n: u64) -> AuditEntry {
        AuditEntry {
            id: Uuid::from_u128(n.into()),
            merchant_id: None,
            merchant_plugin_id: None,
            actor_id: Some("ada".to_owned()),
            actor_type: "ops".to_owned(),
            action: format!("did {n}"),
            details: "{}".to_owned(),
            ip_address: None,
            user_agent: None,
            created_at_us: 1_800_000_000_000_000 + i64::try_from(n).unwrap() * 1_000_000,
        }
    }

    /// A log of so many entries with a checkpoint after every third and at the end.
    fn log(count: u64) -> (Vec<ExportedEntry>, Vec<Checkpoint>) {
        let (mut tree, mut lines, mut checkpoints) = (Tree::default(), Vec::new(), Vec::new());
        for n in 0..count {
            let entry = entry(n);
            let leaf = entry.leaf().unwrap();
            tree.push(leaf);
            if n % 3 == 2 || n + 1 == count {
                checkpoints.push(Checkpoint {
                    origin: "log".to_owned(),
                    size: tree.size(),
                    root: tree.root(),
                    at: entry.created_at(),
                });
            }
            lines.push(ExportedEntry {
                seq: Some(n),
                leaf: Some(leaf),
                entry: Some(entry),
            });
        }
        (lines, checkpoints)
    }

    fn verify(lines: &[ExportedEntry], checkpoints: &[Checkpoint]) -> Report {
        let mut verifier = Verifier::new(checkpoints.to_vec());
        for line in lines {
            verifier.line(line);
        }
        verifier.end()
    }

    /// What somebody does who can write every table: leaves and places are made to fit again.
    fn cover_up(lines: &mut [ExportedEntry]) {
        for (n, line) in lines.iter_mut().enumerate() {
            line.seq = Some(n as u64);
            line.leaf = line.entry.as_ref().map(|entry| entry.leaf().unwrap());
        }
    }

    #[test]
    fn an_untouched_log_holds() {
        let (lines, checkpoints) = log(10);
        let report = verify(&lines, &checkpoints);
        assert_eq!((report.entries, report.covered, report.checkpoints), (10, 10, 4));
        assert!(report.findings.is_empty(), "{report:?}");
    }

    #[test]
    fn an_edited_entry_is_named_and_found_also_when_its_leaf_was_made_to_fit() {
        let (mut lines, checkpoints) = log(10);
        lines[4].entry.as_mut().unwrap().action = "did nothing".to_owned();
        assert!(verify(&lines, &checkpoints).findings.contains(&Finding::Edited(4)));
        cover_up(&mut lines);
        let wanted = Finding::Differs { after: 3, until: 6 };
        assert_eq!(verify(&lines, &checkpoints).findings, [wanted]);
    }

    #[test]
    fn a_cut_off_end_shows_against_a_witness_only() {
        let (lines, checkpoints) = log(10);
        let wanted = Finding::CutOff { has: 6, witnessed: 10 };
        assert_eq!(verify(&lines[..6], &checkpoints).findings, [wanted]);
        assert!(verify(&lines[..6], &checkpoints[..2]).findings.is_empty());
    }

    #[test]
    fn what_was_put_in_past_the_chain_or_dated_back_is_found() {
        let (mut lines, mut checkpoints) = log(3);
        let mut late = entry(50);
        lines.push(ExportedEntry {
            seq: None,
            leaf: None,
            entry: Some(late.clone()),
        });
        let report = verify(&lines, &checkpoints);
        assert_eq!(
            (report.waiting, report.findings.len()),
            (1, 0),
            "it may just wait for its place"
        );
        checkpoints[0].at = late.created_at() + SignedDuration::from_hours(3);
        assert_eq!(verify(&lines, &checkpoints).findings, [Finding::PutIn(late.id)]);
        // Sealed as if new, but with a time of long ago.
        let (mut lines, mut checkpoints) = log(6);
        late.created_at_us -= 30 * 86_400_000_000;
        lines[4].entry = Some(late);
        cover_up(&mut lines);
        let mut tree = Tree::default();
        for line in &lines {
            tree.push(line.leaf.unwrap());
        }
        checkpoints[1].root = tree.root();
        assert_eq!(verify(&lines, &checkpoints).findings, [Finding::Misdated(4)]);
    }

    #[test]
    fn a_fork_is_found_by_its_signatures() {
        let (lines, mut checkpoints) = log(6);
        checkpoints.push(Checkpoint {
            root: Digest::of(b"other"),
            at: Timestamp::UNIX_EPOCH,
            ..checkpoints[0].clone()
        });
        assert!(verify(&lines, &checkpoints).findings.contains(&Finding::Forked(3)));
    }

    proptest! {
        /// Whatever one does to witnessed entries, also with all tables made to fit: it is found.
        #[test]
        fn no_change_to_what_was_witnessed_goes_unseen(
            count in 2_u64..40, what in 0_u8..4, at in 0_usize..40, other in 0_usize..40,
        ) {
            let (mut lines, checkpoints) = log(count);
            let (at, other) = (at % lines.len(), other % lines.len());
            match what {
                0 => { lines.remove(at); }
                1 => lines[at].entry.as_mut().unwrap().details = "{\"x\": 1}".to_owned(),
                2 => {
                    let put_in = ExportedEntry { entry: Some(entry(1000)), ..lines[at].clone() };
                    lines.insert(at, put_in);
                }
                _ => {
                    prop_assume!(at != other);
                    lines.swap(at, other);
                }
            }
            cover_up(&mut lines);
            prop_assert!(!verify(&lines, &checkpoints).findings.is_empty());
        }
    }
}
