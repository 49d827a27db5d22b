//! The client workflow (specification section 5): what is trusted, and what it takes to replace it.
//!
//! Free of I/O; the time is an argument. Each step takes the bytes of one metadata file, checks them against what is
//! trusted already, and either takes their place or leaves everything as it was.

use std::collections::BTreeMap;

use jiff::Timestamp as Moment;

use super::{
    delegation::Signers,
    document::{Document, Envelope},
    error::Error,
    hash,
    head::Role,
    metadata::{MetaFile, Root, Snapshot, Timestamp},
    targets::Targets,
    verify,
};

/// What came of new metadata that are in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// They are trusted now, and must be stored before anything is built on them.
    New,
    /// They have the version that is trusted already, which stays.
    Unchanged,
}

/// The metadata that are trusted at one moment.
#[derive(Debug, Clone)]
pub struct TrustedSet {
    now: Option<Moment>,
    root: Root,
    timestamp: Option<Timestamp>,
    snapshot: Option<Snapshot>,
    /// Roles with who delegated to them when they were checked: another delegator may ask for other keys.
    targets: BTreeMap<String, (String, Targets)>,
}

impl TrustedSet {
    /// Starts from a root that is trusted for reasons of its own (stored before, or given at installation). `now` is
    /// the moment that every expiry is judged by.
    ///
    /// # Errors
    /// When the bytes are not a root that meets its own threshold. It may have expired: a newer one may follow.
    pub fn new(root: &[u8], now: Moment) -> Result<Self, Error> {
        Self::start(root, Some(now))
    }

    /// Like [`TrustedSet::new`], for reading what was checked and stored before, while the repository can not be
    /// reached: no expiry is judged, and targets roles need no snapshot, since a refresh that broke off may have stored
    /// a newer one. Signatures are checked as ever. Never build an update on it.
    ///
    /// # Errors
    /// When the bytes are not a root that meets its own threshold.
    pub fn recalled(root: &[u8]) -> Result<Self, Error> {
        Self::start(root, None)
    }

    fn start(root: &[u8], now: Option<Moment>) -> Result<Self, Error> {
        let document = Document::<Root>::parse(root, Root::KIND)?;
        verify::threshold(&document.envelope, document.signed.signers(Root::KIND)?, Root::KIND)?;
        Ok(Self {
            now,
            root: document.signed,
            timestamp: None,
            snapshot: None,
            targets: BTreeMap::new(),
        })
    }

    /// The root in force.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The timestamp, once loaded.
    pub fn timestamp(&self) -> Option<&Timestamp> {
        self.timestamp.as_ref()
    }

    /// The snapshot, once loaded.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// A targets role, once it was loaded as `delegator` delegates to it (`root` for `targets`).
    pub fn targets(&self, role: &str, delegator: &str) -> Option<&Targets> {
        let (by, targets) = self.targets.get(role)?;
        (by == delegator).then_some(targets)
    }

    /// Section 5.3: the next root, signed by the threshold of the present one and of itself.
    ///
    /// # Errors
    /// When it is not, or when its version is not the next.
    pub fn next_root(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let document = Document::<Root>::parse(bytes, Root::KIND)?;
        verify::threshold(&document.envelope, self.root.signers(Root::KIND)?, Root::KIND)?;
        verify::threshold(&document.envelope, document.signed.signers(Root::KIND)?, Root::KIND)?;
        exact(Root::KIND, document.version(), self.root.head.version.saturating_add(1))?;
        self.root = document.signed;
        Ok(())
    }

    /// Section 5.3.10, after the last root: the freeze check.
    ///
    /// # Errors
    /// When the root has expired.
    pub fn root_unexpired(&self) -> Result<(), Error> {
        self.unexpired(&self.root, Root::KIND)
    }

    /// The timestamp that was trusted before, from our own store. It may have expired: it is the floor below which the
    /// repository may not go.
    ///
    /// # Errors
    /// When it is not signed as the root asks, as after a rotation of keys.
    pub fn restore_timestamp(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.timestamp = Some(self.top_level::<Timestamp>(bytes)?);
        Ok(())
    }

    /// Section 5.4: the repository's timestamp.
    ///
    /// # Errors
    /// When it is not signed, older than the trusted one, names an older snapshot, or has expired; also when it is the
    /// trusted one and that has expired: a frozen repository.
    pub fn update_timestamp(&mut self, bytes: &[u8]) -> Result<Update, Error> {
        const ROLE: &str = Timestamp::KIND;
        self.root_unexpired()?;
        let new = self.top_level::<Timestamp>(bytes)?;
        if let Some(old) = &self.timestamp {
            if new.head.version == old.head.version {
                self.unexpired(old, ROLE)?;
                return Ok(Update::Unchanged);
            }
            at_least(ROLE, new.head.version, old.head.version)?;
            at_least(Snapshot::KIND, new.snapshot()?.version, old.snapshot()?.version)?;
        }
        self.unexpired(&new, ROLE)?;
        self.timestamp = Some(new);
        Ok(Update::New)
    }

    /// The snapshot that was trusted before, from our own store; like [`TrustedSet::restore_timestamp`].
    ///
    /// # Errors
    /// When it is not signed as the root asks.
    pub fn restore_snapshot(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.snapshot = Some(self.top_level::<Snapshot>(bytes)?);
        Ok(())
    }

    /// Whether the trusted snapshot is the one that the timestamp names, and in force: then none need be fetched.
    pub fn snapshot_is_current(&self) -> bool {
        let (Some(timestamp), Some(snapshot)) = (&self.timestamp, &self.snapshot) else {
            return false;
        };
        timestamp
            .snapshot()
            .is_ok_and(|file| file.version == snapshot.head.version)
            && self.unexpired(snapshot, Snapshot::KIND).is_ok()
    }

    /// Section 5.5: the repository's snapshot.
    ///
    /// # Errors
    /// When it is not the file that the timestamp names, not signed, takes a targets role back or drops one, or has
    /// expired.
    pub fn update_snapshot(&mut self, bytes: &[u8]) -> Result<(), Error> {
        const ROLE: &str = Snapshot::KIND;
        let timestamp = self.timestamp.as_ref().ok_or(Error::OutOfOrder(Timestamp::KIND))?;
        self.unexpired(timestamp, Timestamp::KIND)?;
        let promised = timestamp.snapshot()?;
        as_promised(ROLE, promised, bytes)?;
        let new = self.top_level::<Snapshot>(bytes)?;
        exact(ROLE, new.head.version, promised.version)?;
        for (name, old) in self.snapshot.iter().flat_map(|old| &old.meta) {
            let file = new
                .meta
                .get(name)
                .ok_or_else(|| Error::rule(ROLE, format!("it no longer names {name}")))?;
            at_least(name, file.version, old.version)?;
        }
        self.unexpired(&new, ROLE)?;
        self.snapshot = Some(new);
        Ok(())
    }

    /// Section 5.6: a targets role, whether fetched or from our own store. `delegator` is `root` for `targets`.
    ///
    /// # Errors
    /// When it is not the file that the snapshot names, not signed as the delegator asks, or has expired.
    pub fn update_targets(&mut self, role: &str, delegator: &str, bytes: &[u8]) -> Result<(), Error> {
        let promised = match self.now {
            Some(_) if !self.snapshot_is_current() => return Err(Error::OutOfOrder(Snapshot::KIND)),
            Some(_) => Some(self.promised(role)?),
            None => None,
        };
        if let Some(promised) = promised {
            as_promised(role, promised, bytes)?;
        }
        let new: Targets = checked(bytes, self.delegated_signers(role, delegator)?, role)?;
        if let Some(promised) = promised {
            exact(role, new.head.version, promised.version)?;
        }
        self.unexpired(&new, role)?;
        self.targets.insert(role.to_owned(), (delegator.to_owned(), new));
        Ok(())
    }

    /// What the snapshot promises of a targets role.
    ///
    /// # Errors
    /// When there is no snapshot yet, or it does not name the role.
    pub fn promised(&self, role: &str) -> Result<&MetaFile, Error> {
        let snapshot = self.snapshot.as_ref().ok_or(Error::OutOfOrder(Snapshot::KIND))?;
        snapshot.role(role).ok_or_else(|| Error::UnknownRole(role.to_owned()))
    }

    fn delegated_signers(&self, role: &str, delegator: &str) -> Result<Signers<'_>, Error> {
        if delegator == Root::KIND {
            return self.root.signers(role);
        }
        let (_, targets) = self.targets.get(delegator).ok_or(Error::OutOfOrder("the delegating"))?;
        let delegations = targets.delegations.as_ref();
        delegations
            .and_then(|d| d.signers(role))
            .ok_or_else(|| Error::UnknownRole(role.to_owned()))
    }

    fn top_level<R: Role>(&self, bytes: &[u8]) -> Result<R, Error> {
        checked(bytes, self.root.signers(R::KIND)?, R::KIND)
    }

    fn unexpired<R: Role>(&self, document: &R, role: &str) -> Result<(), Error> {
        let expires = document.head().expires;
        match self.now {
            Some(now) if now >= expires => Err(Error::Expired {
                role: role.to_owned(),
                expires,
            }),
            _ => Ok(()),
        }
    }
}

/// Signatures first: what is not signed is not looked into.
fn checked<R: Role>(bytes: &[u8], signers: Signers<'_>, role: &str) -> Result<R, Error> {
    let envelope = Envelope::parse_as(bytes, role)?;
    verify::threshold(&envelope, signers, role)?;
    envelope.into_signed(role)
}

fn as_promised(role: &str, promised: &MetaFile, bytes: &[u8]) -> Result<(), Error> {
    let mismatch = |source| Error::Mismatch {
        role: role.to_owned(),
        source,
    };
    if let Some(length) = promised.length {
        hash::check_length(bytes, length).map_err(mismatch)?;
    }
    if let Some(hashes) = &promised.hashes {
        hashes.check(bytes).map_err(mismatch)?;
    }
    Ok(())
}

fn exact(role: &str, found: u64, wanted: u64) -> Result<(), Error> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::Version {
        role: role.to_owned(),
        found,
        wanted,
    })
}

fn at_least(role: &str, found: u64, wanted: u64) -> Result<(), Error> {
    if found >= wanted {
        return Ok(());
    }
    Err(Error::Version {
        role: role.to_owned(),
        found,
        wanted,
    })
}
