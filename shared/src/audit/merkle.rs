//! The tree of RFC 6962 section 2.1, grown leaf by leaf.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::ids::Digest;

/// The hash of a leaf: SHA-256 over 0x00 and its bytes.
pub fn leaf(data: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update([0]).chain_update(data).finalize().into())
}

fn node(left: &Digest, right: &Digest) -> Digest {
    let hash = Sha256::new()
        .chain_update([1])
        .chain_update(left.0)
        .chain_update(right.0);
    Digest(hash.finalize().into())
}

/// A tree as far as it has to be known to grow: its size, and the heads of its whole subtrees from the largest on, one
/// for each bit of the size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    size: u64,
    heads: Vec<Digest>,
}

/// What was stored is no tree.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{heads} subtrees do not make a tree of {size} leaves")]
pub struct NoTree {
    size: u64,
    heads: usize,
}

impl Tree {
    /// A tree that was stored.
    ///
    /// # Errors
    /// When the number of subtrees does not go with the size.
    pub fn restore(size: u64, heads: Vec<Digest>) -> Result<Self, NoTree> {
        if size.count_ones() as usize == heads.len() {
            Ok(Self { size, heads })
        } else {
            Err(NoTree {
                size,
                heads: heads.len(),
            })
        }
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The heads of its subtrees, to be stored.
    pub fn heads(&self) -> &[Digest] {
        &self.heads
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Digest) {
        let mut head = leaf;
        // Every whole subtree of the same size, from the smallest on, makes a larger one.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.heads.pop() {
                head = node(&left, &head);
            }
        }
        self.heads.push(head);
        self.size += 1;
    }

    /// Its root; that of the empty tree is the hash of nothing.
    pub fn root(&self) -> Digest {
        let mut heads = self.heads.iter().rev();
        let Some(last) = heads.next() else {
            return Digest(Sha256::new().finalize().into());
        };
        heads.fold(*last, |right, left| node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, as it is written.
    fn by_definition(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest(Sha256::new().finalize().into()),
            [one] => *one,
            more => {
                let half = more.len().next_power_of_two() / 2;
                let (left, right) = more.split_at(half);
                node(&by_definition(left), &by_definition(right))
            }
        }
    }

    #[test]
    fn the_roots_are_those_of_the_published_test_vectors() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ];
        let mut tree = Tree::default();
        assert_eq!(
            tree.root().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for (number, data) in leaves.iter().enumerate() {
            tree.push(leaf(&hex::decode(data).unwrap()));
            if let Some((_, root)) = roots.iter().find(|(size, _)| *size == number + 1) {
                assert_eq!(tree.root().to_string(), *root, "{}", number + 1);
            }
        }
    }

    proptest! {
        #[test]
        fn it_grows_to_what_the_definition_says_also_when_it_was_stored_between(count in 0_usize..200) {
            let leaves: Vec<_> = (0..count).map(|n| leaf(&n.to_be_bytes())).collect();
            let mut tree = Tree::default();
            for leaf in &leaves {
                tree.push(*leaf);
                tree = Tree::restore(tree.size(), tree.heads().to_vec()).unwrap();
            }
            prop_assert_eq!(tree.root(), by_definition(&leaves));
            prop_assert_eq!(tree.size(), count as u64);
        }
    }
}
