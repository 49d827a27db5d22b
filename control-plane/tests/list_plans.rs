//! How the database carries out the lists: by an index, whatever is filtered by.

mod support;

use support::{
    database::TestDatabase,
    fleet::{Size, fill},
};

const INCIDENTS: &str = include_str!("../src/store/lists/incidents.sql");
const ATTEMPTS: &str = include_str!("../src/store/lists/attempts.sql");
const COMMANDS: &str = include_str!("../src/store/lists/commands.sql");
const AUDIT: &str = include_str!("../src/store/lists/audit.sql");
const PLUGINS: &str = include_str!("../src/store/lists/plugins.sql");
const PLUGINS_IN_NEED: &str = include_str!("../src/store/lists/plugins_in_need.sql");
const AGENTS: &str = include_str!("../src/store/lists/agents.sql");
const CERTIFICATES: &str = include_str!("../src/store/lists/certificates.sql");

const PLUGIN: &str = "'00000002-0000-7000-8000-000000000005'";
const MERCHANT: &str = "'00000001-0000-7000-8000-000000000005'";
const INCIDENT: &str = "'00000003-0000-7000-8000-000000000005'";
const RECENTLY: &str = "(now() - interval '1 hour')";

/// A list, how many parameters it takes, what is always said (limit and offset, no text), and the filters one by one.
struct List {
    name: &'static str,
    sql: &'static str,
    always: &'static [(usize, &'static str)],
    parameters: usize,
    filters: &'static [&'static [(usize, &'static str)]],
}

const LISTS: &[List] = &[
    List {
        name: "incidents",
        sql: INCIDENTS,
        always: &[(10, "false"), (14, "51"), (15, "0")],
        parameters: 15,
        filters: &[
            &[],
            &[(1, "'open'")],
            &[(1, "'closed'")],
            &[(2, "'critical'")],
            &[(3, "'config_drift'")],
            &[(1, "'escalated'"), (2, "'high'"), (3, "'error_spike'")],
            &[(4, PLUGIN)],
            &[(5, MERCHANT)],
            &[(5, MERCHANT), (1, "'closed'"), (2, "'low'")],
            &[(6, RECENTLY)],
            &[(6, RECENTLY), (7, "now()"), (2, "'low'")],
            &[(8, RECENTLY), (9, INCIDENT)],
            &[(8, RECENTLY), (9, INCIDENT), (1, "'closed'"), (5, MERCHANT)],
            &[(10, "true"), (11, INCIDENT), (12, INCIDENT), (13, "'{}'")],
            &[(10, "true"), (13, "'{00000001-0000-7000-8000-000000000005}'")],
        ],
    },
    List {
        name: "attempts",
        sql: ATTEMPTS,
        always: &[(6, "false"), (9, "51"), (10, "0")],
        parameters: 10,
        filters: &[
            &[],
            &[(1, "'applying'")],
            &[(1, "'success'")],
            &[(2, "'hotfix'")],
            &[(1, "'failed'"), (2, "'patch'")],
            &[(3, PLUGIN)],
            &[(4, INCIDENT)],
            &[(5, MERCHANT)],
            &[(6, "true")],
            &[(7, RECENTLY), (8, INCIDENT)],
        ],
    },
    List {
        name: "commands",
        sql: COMMANDS,
        always: &[(7, "51")],
        parameters: 7,
        filters: &[
            &[],
            &[(1, PLUGIN)],
            &[(2, "'executing'")],
            &[(2, "'completed'"), (3, "'update'")],
            &[(3, "'restart'")],
            &[(4, MERCHANT)],
            &[(5, RECENTLY), (6, INCIDENT)],
        ],
    },
    List {
        name: "audit",
        sql: AUDIT,
        always: &[(10, "51")],
        parameters: 10,
        filters: &[
            &[],
            &[(1, "'person 7'")],
            &[(2, "'ops'")],
            &[(2, "'sira'")],
            &[(3, "'agent_revoked'")],
            &[(1, "'person 7'"), (3, "'agent_revoked'")],
            &[(4, PLUGIN)],
            &[(5, MERCHANT)],
            &[(5, MERCHANT), (3, "'incident_opened'")],
            &[(6, RECENTLY), (7, "now()")],
            &[(8, RECENTLY), (9, INCIDENT), (2, "'system'")],
        ],
    },
    List {
        name: "plugins",
        sql: PLUGINS,
        always: &[(8, "false"), (13, "51")],
        parameters: 13,
        filters: &[
            &[],
            &[(1, MERCHANT)],
            &[(2, "'wix'")],
            &[(3, "'molam-pay-1'")],
            &[(4, "'1.7.0'")],
            &[(3, "'molam-pay-1'"), (4, "'1.7.0'")],
            &[(5, "'error'")],
            &[(5, "'error'"), (2, "'node'"), (3, "'molam-pay-2'")],
            &[(6, "'healthy'")],
            &[(7, PLUGIN), (2, "'wix'")],
            &[(8, "true"), (9, PLUGIN), (10, PLUGIN), (11, "'{}'"), (12, "'{}'")],
            &[(8, "true"), (11, "'{molam-pay-1}'"), (12, "'{}'")],
            &[
                (8, "true"),
                (11, "'{}'"),
                (12, "'{00000001-0000-7000-8000-000000000005}'"),
            ],
        ],
    },
    List {
        name: "plugins that are not simply well",
        sql: PLUGINS_IN_NEED,
        always: &[(8, "false"), (13, "51")],
        parameters: 13,
        filters: &[
            &[(6, "'ill'")],
            &[(6, "'recovering'")],
            &[(6, "'silent'")],
            &[(6, "'unknown'")],
            &[(6, "'off'")],
            &[(6, "'changing'")],
            &[(6, "'ill'"), (2, "'wix'"), (7, PLUGIN)],
        ],
    },
    List {
        name: "agents",
        sql: AGENTS,
        always: &[(5, "51")],
        parameters: 5,
        filters: &[
            &[],
            &[(1, MERCHANT)],
            &[(2, "'molam-pay-1'")],
            &[(3, "'revoked'")],
            &[(3, "'fenced'")],
            &[(3, "'active'"), (4, PLUGIN)],
        ],
    },
    List {
        name: "certificates",
        sql: CERTIFICATES,
        always: &[(6, "51")],
        parameters: 6,
        filters: &[
            &[],
            &[(1, PLUGIN)],
            &[(2, MERCHANT)],
            &[(3, "now()")],
            &[(4, "now()"), (5, "'a'")],
        ],
    },
];

impl List {
    /// The statement with its parameters written in, as the database sees it when it plans for the values at hand.
    fn with(&self, filter: &[(usize, &str)]) -> String {
        let mut sql: String = self
            .sql
            .lines()
            .filter(|line| !line.starts_with("--"))
            .fold(String::new(), |all, line| all + line + "\n");
        for number in (1..=self.parameters).rev() {
            let said = filter.iter().chain(self.always).find(|(n, _)| *n == number);
            sql = sql.replace(&format!("${number}"), said.map_or("NULL", |(_, value)| value));
        }
        sql
    }
}

#[tokio::test]
async fn no_list_reads_a_whole_table_whatever_it_is_filtered_by() {
    let database = TestDatabase::migrated().await;
    let size = Size {
        merchants: 2_000,
        plugins: 20_000,
        incidents: 60_000,
        audit: 60_000,
    };
    fill(&database, size).await;
    for list in LISTS {
        for filter in list.filters {
            let plan = explain(&database, &list.with(filter)).await;
            assert!(!plan.contains("Seq Scan"), "{} by {filter:?}:\n{plan}", list.name);
        }
    }
}

async fn explain(database: &TestDatabase, sql: &str) -> String {
    let lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("EXPLAIN {sql}")))
        .fetch_all(database.db.pool())
        .await
        .unwrap_or_else(|error| panic!("{error}\n{sql}"));
    lines.join("\n")
}
