//! What a text may mean: the beginning of an id, words of a merchant's name, the beginning of a product.

use uuid::Uuid;

use crate::{
    domain::page::ids_beginning,
    store::{Db, StoreError},
};

/// The longest text that is searched for, in bytes.
pub const MAX_TEXT: usize = 100;
/// Merchants that a text may mean, at most: whoever means more says more.
const MERCHANTS: i64 = 100;
/// Products, at most.
const PRODUCTS: i64 = 50;
/// Words of a text that are looked for, at most.
const WORDS: usize = 8;

/// What a text may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// Ids between these.
    pub ids: Option<(Uuid, Uuid)>,
    /// These merchants.
    pub merchants: Vec<Uuid>,
    /// These products.
    pub products: Vec<String>,
}

impl Meant {
    /// Whether it means no plugin's row of any kind: there is nothing to look for then.
    pub fn is_nothing(&self) -> bool {
        self.ids.is_none() && self.merchants.is_empty() && self.products.is_empty()
    }

    /// The same where products do not count.
    pub fn is_nobody(&self) -> bool {
        self.ids.is_none() && self.merchants.is_empty()
    }
}

/// What `text` may mean, to somebody who sees one merchant only or (`None`) all.
///
/// # Errors
/// When the database fails.
pub async fn meant(db: &Db, text: &str, merchant: Option<Uuid>) -> Result<Meant, StoreError> {
    let text = text.trim();
    Ok(Meant {
        ids: ids_beginning(text),
        merchants: merchants(db, text, merchant).await?,
        products: products(db, text).await?,
    })
}

async fn merchants(db: &Db, text: &str, merchant: Option<Uuid>) -> Result<Vec<Uuid>, StoreError> {
    let (first, last) = ids_beginning(text).unzip();
    let ids = sqlx::query_scalar!(
        "SELECT id FROM merchants
         WHERE ($3::uuid IS NULL OR id = $3)
           AND (to_tsvector('simple', name) @@ to_tsquery('simple', $1) OR id BETWEEN $4::uuid AND $5::uuid)
         LIMIT $2",
        query(text),
        MERCHANTS,
        merchant,
        first,
        last
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(ids)
}

async fn products(db: &Db, text: &str) -> Result<Vec<String>, StoreError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    // From one product to the next by the index, so that a million plugins of ten products are ten looks.
    let products = sqlx::query_scalar!(
        r#"WITH RECURSIVE known (product) AS (
             (SELECT product FROM merchant_plugins WHERE product IS NOT NULL ORDER BY product LIMIT 1)
             UNION ALL
             SELECT (SELECT product FROM merchant_plugins WHERE product > known.product ORDER BY product LIMIT 1)
             FROM known WHERE known.product IS NOT NULL
           )
           SELECT product AS "product!" FROM (SELECT product FROM known LIMIT 10000) AS few
           WHERE starts_with(lower(product), lower($1)) LIMIT $2"#,
        text,
        PRODUCTS
    )
    .fetch_all(db.reading_pool())
    .await?;
    Ok(products)
}

/// The words of a text, each as the beginning of a word. Only letters and digits reach the query, so nothing in it can be
/// taken for an operator; without words nothing matches.
fn query(text: &str) -> String {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(WORDS)
        .map(|word| format!("{word}:*"))
        .collect::<Vec<_>>()
        .join(" & ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_can_not_be_an_operator() {
        assert_eq!(query("Café d'Or"), "Café:* & d:* & Or:*");
        assert_eq!(query("a | !b & (c) <-> 'd'"), "a:* & b:* & c:* & d:*");
        assert_eq!(query("\u{0}' OR 1=1; --"), "OR:* & 1:* & 1:*");
        assert_eq!(query(""), "");
    }
}
