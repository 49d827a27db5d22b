//! Who a person is (JWT), what they may do (roles), and how far they see (scope).

mod caller;
mod guard;
pub mod jwks;
pub mod keys;
mod provider;
pub mod rates;
pub mod table;
mod token;

pub use caller::{Caller, Scope, bearer};
pub use guard::guarded;
pub use token::{ISSUER, Person, TokenError, TokenVerifier};

/// A role that people have; anything else in a token is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs the fleet.
    PayAdmin,
    /// Watches over rules and approvals.
    ComplianceOps,
    /// Looks after one merchant's plugins, and sees no other's.
    MerchantAdmin,
    /// Reads, and changes nothing.
    OpsViewer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::PayAdmin,
        Self::ComplianceOps,
        Self::MerchantAdmin,
        Self::OpsViewer,
    ];

    /// The name in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PayAdmin => "pay_admin",
            Self::ComplianceOps => "compliance_ops",
            Self::MerchantAdmin => "merchant_admin",
            Self::OpsViewer => "ops_viewer",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}
