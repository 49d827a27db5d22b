//! A database for each test, copied from a template that has all migrations.

use std::{fs, path::Path};

use plugmend_control_plane::store::{Db, DbOptions};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, Executor as _, PgConnection};

/// Where an administrator's URL is found.
const URL: &str = "PLUGMEND_TEST_DATABASE_URL";

/// One test's database; dropped with it.
pub struct TestDatabase {
    /// Opened on it.
    pub db: Db,
    /// Its URL.
    pub url: String,
    admin_url: String,
    name: String,
}

/// The administrator's URL.
pub fn admin_url() -> String {
    std::env::var(URL).unwrap_or_else(|_| {
        panic!("{URL} is not set: run the tests with 'make test', which starts a Postgres and sets it")
    })
}

impl TestDatabase {
    /// With all migrations.
    pub async fn migrated() -> Self {
        let template = template().await;
        Self::create(Some(&template)).await
    }

    /// With nothing in it.
    pub async fn empty() -> Self {
        Self::create(None).await
    }

    async fn create(template: Option<&str>) -> Self {
        let admin_url = admin_url();
        let mut random = [0; 8];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random).unwrap();
        let name = format!("plugmend_test_{}", hex::encode(random));
        let mut admin = PgConnection::connect(&admin_url).await.expect("Postgres answers");
        let from = template
            .map(|template| format!(" TEMPLATE {template}"))
            .unwrap_or_default();
        admin
            .execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}{from}")))
            .await
            .unwrap();
        admin.close().await.unwrap();
        let url = with_name(&admin_url, &name);
        let db = Db::open(&DbOptions {
            url: url.clone().into(),
            max_connections: 16,
        })
        .unwrap();
        Self {
            db,
            url,
            admin_url,
            name,
        }
    }

    /// Runs statements as a person with psql would.
    pub async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Runs a statement that should be refused; what the database says.
    pub async fn refusal(&self, sql: &str) -> String {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let refused = connection
            .execute(sqlx::AssertSqlSafe(sql.to_owned()))
            .await
            .unwrap_err();
        refused.to_string()
    }

    /// The one text that a query gives; `NULL` as none.
    pub async fn text(&self, sql: &str) -> Option<String> {
        sqlx::query_scalar::<_, Option<String>>(sqlx::AssertSqlSafe(format!("SELECT ({sql})::text")))
            .fetch_one(self.db.pool())
            .await
            .unwrap()
    }

    /// The one number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        self.text(sql).await.unwrap().parse().unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (admin_url, name) = (self.admin_url.clone(), self.name.clone());
        // A thread of its own: the test's runtime may be on its way out. Nobody minds a database that stays behind.
        let _ = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime
                .block_on(async {
                    let mut admin = PgConnection::connect(&admin_url).await?;
                    admin
                        .execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
                        .await?;
                    admin.close().await
                })
                .map_err(std::io::Error::other)
        })
        .join();
    }
}

fn with_name(admin_url: &str, name: &str) -> String {
    let (base, query) = match admin_url.split_once('?') {
        Some((base, query)) => (base, format!("?{query}")),
        None => (admin_url, String::new()),
    };
    let (server, _admin_database) = base.rsplit_once('/').expect("a database in the URL");
    format!("{server}/{name}{query}")
}

/// The template for these migrations, made by whoever comes first.
async fn template() -> String {
    let name = format!("plugmend_template_{}", &migrations_hash()[..16]);
    let admin_url = admin_url();
    let mut admin = PgConnection::connect(&admin_url).await.expect("Postgres answers");
    admin.execute("SELECT pg_advisory_lock(7585)").await.unwrap();
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
        .bind(&name)
        .fetch_one(&mut admin)
        .await
        .unwrap();
    if !exists {
        // Under another name until it is whole: a run that was cut short leaves no half template.
        let draft = format!("{name}_draft");
        admin
            .execute(sqlx::AssertSqlSafe(format!(
                "DROP DATABASE IF EXISTS {draft} WITH (FORCE)"
            )))
            .await
            .unwrap();
        admin
            .execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {draft}")))
            .await
            .unwrap();
        let url = with_name(&admin_url, &draft);
        let db = Db::open(&DbOptions {
            url: url.into(),
            max_connections: 4,
        })
        .unwrap();
        db.migrate().await.unwrap();
        db.close().await;
        admin
            .execute(sqlx::AssertSqlSafe(format!("ALTER DATABASE {draft} RENAME TO {name}")))
            .await
            .unwrap();
    }
    admin.close().await.unwrap();
    name
}

fn migrations_hash() -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).unwrap());
    }
    hex::encode(hash.finalize())
}
