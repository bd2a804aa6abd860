//! What workers find in the tables of events.

use erp_plugin_storage::Mode;

use super::{begin, plans, sorts};
use crate::columns::ColumnType;
use crate::connection::As;
use crate::sql::{Parameter, Sql};
use crate::support::{self, Database};
use crate::{PostgresStorage, dead_letters, dispatch, outbox, workers};

/// A hundred thousand events that are numbered and done, in a thousand streams, and a few that are not.
const WORKED_OFF: &str = "
    INSERT INTO erp_plugin.outbox
        (tenant_id, id, event_type, key, payload, publisher, invocation, ordinal, depth, published_at, xact, seq)
    SELECT 'tenant' || n % 10, md5(n::text)::uuid, 'order.created', 'key' || n % 1000, '{}', 'orders',
        md5(n::text)::uuid, 1, 0, now(), 7, CASE WHEN n < 100000 THEN n END
    FROM generate_series(1, 100010) AS n;
    INSERT INTO erp_plugin.streams (tenant_id, plugin, key, last_number, waiting, token)
    SELECT 'tenant' || n % 10, 'mails', 'key' || n, 100, CASE WHEN n < 20 THEN n END, 100
    FROM generate_series(0, 999) AS n;
    INSERT INTO erp_plugin.streams (tenant_id, plugin, key, last_number, waiting, token, retry_at, failed_at)
    SELECT 'tenant' || n % 10, 'down', 'key' || n, 1, n, 1, now() + n * interval '1 s', now() - n * interval '1 s'
    FROM generate_series(0, 9999) AS n;
    INSERT INTO erp_plugin.deliveries
        (tenant_id, plugin, key, number, event, seq, status, token, attempts, last_error, failed_at)
    SELECT 'tenant' || n % 10, 'mails', 'key' || n % 1000, n / 1000 + 1, md5(n::text)::uuid, n,
        CASE WHEN n % 1000 < 20 AND n > 99000 THEN 'pending' WHEN n % 20000 = 19 THEN 'dead' ELSE 'done' END, 1, 1,
        'because', now()
    FROM generate_series(1, 99999) AS n;
    INSERT INTO erp_plugin.activations (tenant_id, plugin, version, enabled, tenant_told, pinned)
    SELECT 'tenant' || n, 'mails', '1.0.0', true, true, false FROM generate_series(0, 9) AS n;
    INSERT INTO erp_plugin.log_lines (tenant_id, invocation, ordinal, plugin, level, message, at)
    SELECT 'tenant' || n % 10, md5(n::text)::uuid, 0, 'mails', 2, 'sent', now() FROM generate_series(1, 100000) AS n;
    ";

#[tokio::test]
async fn workers_find_what_waits_without_passing_over_what_is_done() {
    let Some(server) = support::server() else { return };
    for analysed in [false, true] {
        let database = Database::new(&server, support::As::App).await;
        let storage = PostgresStorage::open(&database.options()).await.unwrap();
        let admin = database.admin().await;
        admin.batch_execute(WORKED_OFF).await.unwrap();
        if analysed {
            admin.batch_execute("ANALYZE").await.unwrap();
        }
        let mut session = begin(&storage, As::Platform, Mode::Write).await;
        let limit = (Parameter::Integer(16), ColumnType::Integer.parameter());
        let texts = |of: &[&'static str]| {
            let many = Parameter::many(of.iter().copied().map(Parameter::Text));
            (many, ColumnType::Text.array())
        };
        let none = || texts(&[]);
        let stream = [texts(&["tenant1"]), texts(&["mails"]), texts(&["key1"])];
        let now = (Parameter::Time(chrono::DateTime::UNIX_EPOCH), ColumnType::DateTime.parameter());
        let later =
            (Parameter::Time(chrono::DateTime::<chrono::Utc>::MAX_UTC), ColumnType::DateTime.parameter());
        let mut claim = Vec::from(stream);
        let nobody = (Parameter::Uuid(uuid::Uuid::nil()), ColumnType::Uuid.parameter());
        claim.push(nobody.clone());
        claim.push(limit.clone());
        let nothing = (Parameter::Null, ColumnType::Text.parameter());
        let no_id = (Parameter::Null, ColumnType::Uuid.parameter());
        let never = (Parameter::Null, ColumnType::DateTime.parameter());
        let letters = vec![
            nothing.clone(),
            nothing.clone(),
            nothing.clone(),
            nothing.clone(),
            no_id.clone(),
            never.clone(),
            never,
            limit.clone(),
            nothing.clone(),
            no_id,
            nothing.clone(),
        ];
        let number = (Parameter::Integer(50_000), ColumnType::Integer.parameter());
        let events = vec![nothing.clone(), nothing.clone(), nothing, number, limit.clone()];
        let (letters_list, events_list) = (dead_letters::list(), outbox::list(false));
        for (sql, parameters, indexes) in [
            (dispatch::UNNUMBERED, vec![limit.clone()], &["outbox_unnumbered"][..]),
            (dispatch::DUE, vec![now.clone(), limit.clone()], &["streams_retry"]),
            (dispatch::AHEAD, vec![later, limit.clone()], &["streams_failed"]),
            (
                dispatch::CANDIDATES,
                vec![limit.clone(), none(), none(), none(), none(), none(), limit.clone(), now.clone()],
                &["streams_waiting"],
            ),
            (dispatch::CLAIM, claim, &["deliveries_pending", "streams_pkey", "outbox_pkey"]),
            (&letters_list, letters, &["deliveries_dead", "outbox_pkey"]),
            (&events_list, events, &["outbox_seq"]),
            (outbox::PRUNE, vec![now.clone(), limit.clone()], &["outbox_published"]),
            (outbox::PRUNE_LOG, vec![now, limit], &["log_lines_newest"]),
            (workers::GIVE_UP_STREAMS, vec![nobody], &["streams_claimed", "deliveries_pending"]),
        ] {
            for plan in plans(&mut session, &Sql { text: sql.to_owned(), parameters }).await {
                assert!(!plan.contains("Seq Scan"), "{plan}");
                // Of two that serve as well, while nothing is known of the rows, either may be taken.
                let indexes =
                    if !analysed && [dispatch::DUE, dispatch::AHEAD].contains(&sql) { &[] } else { indexes };
                for index in indexes {
                    assert!(plan.contains(&format!(" using {index} on ")), "not by {index}:\n{plan}");
                }
                assert!(
                    !sorts(&plan) || ![&letters_list, &events_list].contains(&&sql.to_owned()),
                    "it is sorted:\n{plan}"
                );
            }
        }
    }
}
