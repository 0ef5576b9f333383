//! The table: whether it is there, and made as Mayfly needs it.

use aws_config::SdkConfig;
use mayfly_service::config::Config;
use mayfly_service::store::{Ledger, StoreError, TableSeen, describe_table};

use super::finding::{Finding, Findings};

const SETTINGS: &str = "AWS_REGION, AWS_PROFILE and the like say where it is and who asks; for a `mayfly serve` on this machine \
                        set AWS_ENDPOINT_URL_DYNAMODB to the address that its log names";

/// Looks at the table; every call has its own limit.
pub async fn examine(config: &Config, aws: &SdkConfig, ledger: &Ledger) -> Vec<Finding> {
    let mut found = Findings::of("table");
    let name = &config.table;
    match describe_table(aws, name).await {
        Ok(Some(seen)) => judge(name, &seen, &mut found),
        Ok(None) => {
            let why = "there is none of that name there";
            found.wrong(name, why, format!("`mayfly table create` makes it; {SETTINGS}"));
            found.skipped("its keys, TTL and billing", "there is no table");
        }
        Err(error) if is_denied(&error) => {
            // The functions' role has no right to look at the table itself, only at its items.
            if let Some(pool) = config.policy.pools.first() {
                match ledger.pool_state(&pool.name).await {
                    Ok(_) => found.ok(name, "its items can be read"),
                    Err(error) => found.wrong(name, error.to_string(), SETTINGS),
                }
            }
            let why = "these credentials may read items, and not look at the table (dynamodb:DescribeTable)";
            found.skipped("its keys, TTL and billing", why);
        }
        Err(error) => {
            found.wrong(name, error.to_string(), SETTINGS);
            found.skipped("its keys, TTL and billing", "the table does not answer");
        }
    }
    found.done()
}

fn is_denied(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable { why, .. } => why.starts_with("AccessDenied"),
        StoreError::Missing { .. } | StoreError::Corrupt { .. } => false,
    }
}

/// What is right and wrong with a table.
fn judge(name: &str, seen: &TableSeen, found: &mut Findings) {
    let anew = "the key of a table cannot be changed: name another in `store.table`, and make it with `mayfly table create`";
    if matches!(seen.status.as_str(), "ACTIVE" | "UPDATING") {
        found.ok(name, "is there");
    } else {
        let why = format!("is {}", seen.status);
        found.wrong(name, why, "wait until it is ACTIVE, and look again");
    }
    let key: Vec<String> = seen.key.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
    if key == ["pk (S)", "sk (S)"] {
        found.ok("its key", "partition key pk, sort key sk");
    } else {
        let why = format!("is {}, and must be pk (S) and sk (S)", key.join(" and "));
        found.wrong("its key", why, anew);
    }
    match seen.expires_by.as_deref() {
        Some("expires_at") => found.ok("its TTL", "items expire by expires_at"),
        Some(other) => {
            let why = format!("items expire by {other}, and must by expires_at");
            found.wrong(
                "its TTL",
                why,
                format!("switch TTL off and on again with expires_at: {}", ttl(name)),
            );
        }
        None => {
            let why = "is off: ended jobs stay for ever";
            found.wrong("its TTL", why, format!("`mayfly table create` switches it on, or {}", ttl(name)));
        }
    }
    if seen.on_demand {
        found.ok("its billing", "by request");
    } else {
        let why = "is provisioned: a burst of jobs is throttled, and an idle table costs";
        let mend = format!("aws dynamodb update-table --table-name {name} --billing-mode PAY_PER_REQUEST");
        found.warning("its billing", why, mend);
    }
    if !seen.indexes.is_empty() {
        let why =
            format!("{}: each makes every write dearer, and nothing reads them", seen.indexes.join(", "));
        found.warning("its indexes", why, "delete them");
    }
    if seen.deletion_protected == Some(false) {
        let mend = format!("aws dynamodb update-table --table-name {name} --deletion-protection-enabled");
        found.warning("its protection against deletion", "is off", mend);
    }
}

fn ttl(name: &str) -> String {
    format!(
        "aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification \
         Enabled=true,AttributeName=expires_at"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    fn right() -> TableSeen {
        let key = ["pk", "sk"].map(|name| (name.to_owned(), "S".to_owned()));
        TableSeen {
            status: "ACTIVE".to_owned(),
            key: key.into(),
            on_demand: true,
            indexes: Vec::new(),
            expires_by: Some("expires_at".to_owned()),
            deletion_protected: Some(true),
        }
    }

    fn judged(seen: &TableSeen) -> Vec<(Level, String)> {
        let mut found = Findings::of("table");
        judge("mayfly", seen, &mut found);
        let bad = found.done().into_iter().filter(|finding| finding.level != Level::Ok);
        bad.map(|finding| (finding.level, finding.what)).collect()
    }

    #[test]
    fn a_table_is_right_or_says_what_is_not() {
        assert_eq!(judged(&right()), []);
        let wrong = |what: &str| vec![(Level::Wrong, what.to_owned())];
        let warning = |what: &str| vec![(Level::Warning, what.to_owned())];
        let other = TableSeen { key: vec![("id".to_owned(), "S".to_owned())], ..right() };
        assert_eq!(judged(&other), wrong("its key"));
        let number = TableSeen { key: vec![("pk".into(), "S".into()), ("sk".into(), "N".into())], ..right() };
        assert_eq!(judged(&number), wrong("its key"));
        assert_eq!(judged(&TableSeen { expires_by: None, ..right() }), wrong("its TTL"));
        assert_eq!(judged(&TableSeen { expires_by: Some("ttl".into()), ..right() }), wrong("its TTL"));
        assert_eq!(judged(&TableSeen { status: "CREATING".into(), ..right() }), wrong("mayfly"));
        assert_eq!(judged(&TableSeen { on_demand: false, ..right() }), warning("its billing"));
        assert_eq!(
            judged(&TableSeen { indexes: vec!["by-state".into()], ..right() }),
            warning("its indexes")
        );
        let open = TableSeen { deletion_protected: Some(false), ..right() };
        assert_eq!(judged(&open), warning("its protection against deletion"));
    }
}
