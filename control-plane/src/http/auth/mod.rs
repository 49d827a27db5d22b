//! Who a person is (JWT) and what they may do (roles).

mod operator;
mod provider;
mod token;

pub use operator::{Operator, PayAdmin, bearer};
pub use token::{ISSUER, TokenError, TokenVerifier};

/// A role that people have; anything else in a token is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs the fleet.
    PayAdmin,
    /// Watches over rules and approvals.
    ComplianceOps,
}

impl Role {
    /// The name in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PayAdmin => "pay_admin",
            Self::ComplianceOps => "compliance_ops",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::PayAdmin, Self::ComplianceOps]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}
