//! What people of ops do by SQL, as the runbook writes it, and what tests look up.

use anyhow::{Context, Result};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

/// Runs a statement; how many rows it touched.
pub async fn run(database_url: &str, statement: &str) -> Result<u64> {
    let mut connection = PgConnection::connect(database_url).await?;
    let done = connection
        .execute(sqlx::AssertSqlSafe(statement.to_owned()))
        .await
        .with_context(|| format!("by hand: {statement}"))?;
    connection.close().await?;
    Ok(done.rows_affected())
}

/// The first column of what a query gives, as text.
pub async fn texts(database_url: &str, query: &str) -> Result<Vec<String>> {
    let mut connection = PgConnection::connect(database_url).await?;
    let rows = connection
        .fetch_all(sqlx::AssertSqlSafe(query.to_owned()))
        .await
        .with_context(|| format!("look up: {query}"))?;
    connection.close().await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
