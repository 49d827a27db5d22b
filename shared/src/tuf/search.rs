//! Finding a target: a walk through delegations, most important first, bounded (specification section 5.6.7).
//!
//! The walk does no I/O. Where it needs a role that is not trusted yet it says so, and goes on when it is.

use std::collections::BTreeSet;

use super::{error::Error, product::SignedTarget, trusted::TrustedSet};

/// A walk under way.
#[derive(Debug, Clone)]
pub struct Search {
    path: String,
    /// Roles still to visit with who delegates to them, the next one last.
    open: Vec<Visit>,
    visited: BTreeSet<String>,
    most: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Visit {
    role: String,
    delegator: String,
}

/// Where the walk stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Load this role into the trusted set, then step again.
    Load {
        /// The role.
        role: String,
        /// The role that delegates to it.
        delegator: String,
    },
    /// The target, and the role that signs for it.
    Found {
        /// The role.
        role: String,
        /// The target.
        target: SignedTarget,
    },
    /// No role that answers for the path has it.
    NotFound,
}

impl Search {
    /// A walk for `path` that visits at most `most` roles.
    pub fn new(path: &str, most: u32) -> Self {
        Self {
            path: path.to_owned(),
            open: vec![Visit {
                role: "targets".to_owned(),
                delegator: "root".to_owned(),
            }],
            visited: BTreeSet::new(),
            most,
        }
    }

    /// Goes on as far as the trusted set allows.
    ///
    /// # Errors
    /// When more roles than allowed would have to be visited.
    pub fn step(&mut self, trusted: &TrustedSet) -> Result<Step, Error> {
        while let Some(visit) = self.open.pop() {
            // A role that was visited is done, whoever else delegates to it: so circles end.
            if self.visited.contains(&visit.role) {
                continue;
            }
            if self.visited.len() as u64 >= u64::from(self.most) {
                return Err(Error::TooManyVisits(self.most));
            }
            let Some(targets) = trusted.targets(&visit.role, &visit.delegator) else {
                self.open.push(visit.clone());
                return Ok(Step::Load {
                    role: visit.role,
                    delegator: visit.delegator,
                });
            };
            self.visited.insert(visit.role.clone());
            if let Some(file) = targets.targets.get(&self.path) {
                self.open.clear();
                return Ok(Step::Found {
                    role: visit.role,
                    target: SignedTarget {
                        path: self.path.clone(),
                        file: file.clone(),
                    },
                });
            }
            self.enter(&visit.role, targets.roles_for(&self.path));
        }
        Ok(Step::NotFound)
    }

    /// Puts the roles that `delegator` names before everything else; a terminating one shuts out all that follows.
    fn enter(&mut self, delegator: &str, roles: Vec<(String, bool)>) {
        let mut next = Vec::new();
        for (role, terminating) in roles {
            next.push(Visit {
                role,
                delegator: delegator.to_owned(),
            });
            if terminating {
                self.open.clear();
                break;
            }
        }
        self.open.extend(next.into_iter().rev());
    }
}
