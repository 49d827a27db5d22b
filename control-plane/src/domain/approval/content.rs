//! What exactly is approved: a name for everything that would be done.

use plugmend_shared::ids::{Digest, PluginId, Product};
use semver::Version;
use serde::Serialize;
use serde_json::{Map, Value};

/// What keeps this name apart from others.
const DOMAIN: &[u8] = b"plugmend approval content v1\n";

/// Everything that would be done.
#[derive(Debug, Clone, Serialize)]
pub struct Content<'a> {
    /// How: a method of a cure, or the kind of an order.
    pub action: &'a str,
    /// To which plugin.
    pub plugin: PluginId,
    /// With which product.
    pub product: Option<&'a Product>,
    /// To which version.
    pub version: Option<&'a Version>,
    /// Exactly which release.
    pub release: Option<&'a Digest>,
    /// Which settings.
    pub settings: Option<&'a Map<String, Value>>,
    /// Whether files that are as signed are laid out anew as well.
    pub reinstall: bool,
}

impl Content<'_> {
    /// Its name: the same content always has the same, and any other another.
    pub fn digest(&self) -> Digest {
        // Members of maps are sorted, so the same settings have the same bytes.
        let mut bytes = DOMAIN.to_vec();
        bytes.extend(serde_json::to_vec(self).unwrap_or_default());
        Digest::of(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn whatever_would_be_done_otherwise_has_another_name() {
        let (product, version, other_version) = ("p".parse().unwrap(), Version::new(2, 0, 0), Version::new(2, 0, 1));
        let (release, other_release) = (Digest::of(b"one"), Digest::of(b"other"));
        let settings: Map<String, Value> = json!({ "a": 1, "b": 2 }).as_object().unwrap().clone();
        let same: Map<String, Value> = serde_json::from_str(r#"{"b":2,"a":1}"#).unwrap();
        let base = Content {
            action: "patch",
            plugin: PluginId(Uuid::from_u128(1)),
            product: Some(&product),
            version: Some(&version),
            release: Some(&release),
            settings: Some(&settings),
            reinstall: false,
        };
        let others = [
            Content {
                action: "hotfix",
                ..base.clone()
            },
            Content {
                plugin: PluginId(Uuid::from_u128(2)),
                ..base.clone()
            },
            Content {
                product: None,
                ..base.clone()
            },
            Content {
                version: Some(&other_version),
                ..base.clone()
            },
            Content {
                release: Some(&other_release),
                ..base.clone()
            },
            Content {
                settings: None,
                ..base.clone()
            },
            Content {
                reinstall: true,
                ..base.clone()
            },
        ];
        assert!(others.iter().all(|other| other.digest() != base.digest()));
        let again = Content {
            settings: Some(&same),
            ..base.clone()
        };
        assert_eq!(again.digest(), base.digest());
    }
}
