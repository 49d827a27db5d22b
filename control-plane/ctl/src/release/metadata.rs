//! Who must sign what, and who has.

use anyhow::Context as _;
use plugmend_shared::tuf::{
    Document, Envelope, KeyId, Role as _, Root, Targets,
    delegation::Signers,
    verify::{self, Tally},
};

use super::workspace::Workspace;

/// One group of signers of a staged document; a new root has two.
#[derive(Debug)]
pub struct Group {
    /// Who they are, in words.
    pub who: &'static str,
    /// Every key of the group.
    pub keyids: Vec<KeyId>,
    /// What their signatures amount to.
    pub tally: Tally,
}

impl Group {
    /// Keys of the group that have not signed.
    pub fn missing(&self) -> impl Iterator<Item = &KeyId> {
        self.keyids.iter().filter(|id| !self.tally.valid.contains(id))
    }
}

/// A role's staged document and those who must sign it.
#[derive(Debug)]
pub struct Staged {
    /// The role.
    pub role: String,
    /// The version that is staged.
    pub version: u64,
    /// The document with its signatures so far.
    pub envelope: Envelope,
    /// Who must sign.
    pub groups: Vec<Group>,
}

impl Staged {
    /// What is staged for a role; `None` when nothing is.
    pub fn of(workspace: &Workspace, role: &str) -> anyhow::Result<Option<Self>> {
        let Some(bytes) = workspace.staged_bytes(role)? else {
            return Ok(None);
        };
        let envelope = Envelope::parse(&bytes).with_context(|| format!("the staged {role} can not be read"))?;
        let version = version_of(&envelope, role)?;
        let mut groups = Vec::new();
        for_signers(workspace, role, |who, signers| {
            groups.push(Group {
                who,
                keyids: signers.keyids.to_vec(),
                tally: verify::tally(&envelope, signers, role)?,
            });
            Ok(())
        })?;
        Ok(Some(Self {
            role: role.to_owned(),
            version,
            envelope,
            groups,
        }))
    }

    /// All that is staged, in the order in which it is checked.
    pub fn all(workspace: &Workspace) -> anyhow::Result<Vec<Self>> {
        let mut out = Vec::new();
        for role in workspace.roles()? {
            out.extend(Self::of(workspace, &role)?);
        }
        Ok(out)
    }

    /// Whether every group has reached its threshold.
    pub fn is_complete(&self) -> bool {
        self.groups.iter().all(|g| g.tally.suffices())
    }

    /// Whether a key's signature counts for anything here.
    pub fn concerns(&self, key: &KeyId) -> bool {
        self.groups.iter().any(|g| g.keyids.contains(key))
    }
}

fn version_of(envelope: &Envelope, role: &str) -> anyhow::Result<u64> {
    Ok(if role == Root::KIND {
        envelope.read::<Root>(role)?.head.version
    } else {
        envelope.read::<Targets>(role)?.head().version
    })
}

/// Calls `then` for each group that must sign the staged document of a role.
pub fn for_signers(
    workspace: &Workspace,
    role: &str,
    mut then: impl FnMut(&'static str, Signers<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if role == Root::KIND {
        let staged: Option<Document<Root>> = workspace.staged(role)?;
        let published: Option<Document<Root>> = workspace.published(role)?;
        if let Some(old) = &published {
            then("holders of the present root keys", old.signed.signers(role)?)?;
        }
        if let Some(new) = &staged {
            then("holders of the new root keys", new.signed.signers(role)?)?;
        }
        return Ok(());
    }
    if role == Targets::KIND {
        return then("holders of the targets keys", workspace.root()?.signed.signers(role)?);
    }
    let targets = workspace.targets()?;
    let delegations = targets.signed.delegations.as_ref();
    let signers = delegations.and_then(|d| d.signers(role));
    then(
        "holders of the release keys",
        signers.with_context(|| format!("nobody may sign for {role}"))?,
    )
}
