//! Whether a value may be given to a setting.

use serde_json::Value;
use thiserror::Error;

use super::manifest::{SettingKey, SettingKind};

/// The longest text, in bytes.
const MAX_TEXT: usize = 4096;

/// Why a value is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unfit {
    /// It is of another type.
    #[error("must be {0}")]
    Type(&'static str),
    /// It is out of bounds, or no choice.
    #[error("must be {0}")]
    Bounds(String),
}

impl SettingKey {
    /// Whether it takes this value. Whether it may be set from afar at all is `host_only`'s to say.
    ///
    /// # Errors
    /// What the value must be.
    pub fn takes(&self, value: &Value) -> Result<(), Unfit> {
        match self.kind {
            SettingKind::Boolean => value.is_boolean().then_some(()).ok_or(Unfit::Type("true or false")),
            SettingKind::Integer if !(value.is_i64() || value.is_u64()) => Err(Unfit::Type("a whole number")),
            SettingKind::Integer | SettingKind::Number => self.takes_number(value),
            SettingKind::Text => self.takes_text(value),
        }
    }

    fn takes_number(&self, value: &Value) -> Result<(), Unfit> {
        let number = value.as_f64().filter(|n| n.is_finite());
        let number = number.ok_or(Unfit::Type("a number"))?;
        match (self.min, self.max) {
            (Some(min), _) if number < min => Err(Unfit::Bounds(format!("at least {min}"))),
            (_, Some(max)) if number > max => Err(Unfit::Bounds(format!("at most {max}"))),
            _ => Ok(()),
        }
    }

    fn takes_text(&self, value: &Value) -> Result<(), Unfit> {
        let text = value.as_str().ok_or(Unfit::Type("a text"))?;
        if text.len() > MAX_TEXT {
            return Err(Unfit::Bounds(format!("a text of at most {MAX_TEXT} bytes")));
        }
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == text) {
            return Err(Unfit::Bounds(format!("one of {}", self.choices.join(", "))));
        }
        Ok(())
    }
}
