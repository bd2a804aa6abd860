//! What finds changes in the history of records.

use erp_plugin_model::TenantId;
use erp_plugin_storage::Mode;
use uuid::Uuid;

use super::{begin, plans, sorts};
use crate::columns::ColumnType;
use crate::connection::As;
use crate::sql::{Parameter, Sql};
use crate::support::{self, Database};
use crate::{PostgresStorage, history};

/// Sixty thousand changes of three entities in several tenants, half of them of one, ten to a record.
const CHANGES: &str = "
    INSERT INTO erp_plugin.record_history
        (tenant_id, entity, record, version, verb, at, changed_by, invocation, changes)
    SELECT CASE n % 2 WHEN 0 THEN 'northwind' ELSE 'tenant' || n % 7 END, 'suite.e' || n % 3, md5((n / 60)::text)::uuid,
        n, 1, timestamptz '2026-01-01Z' + n * interval '1 minute', 'anna', md5(n::text)::uuid, '{}'
    FROM generate_series(1, 60000) AS n;
    ";

#[tokio::test]
async fn history_is_read_in_the_order_of_an_index_and_the_oldest_is_found_at_once() {
    let Some(server) = support::server() else { return };
    for analysed in [false, true] {
        let database = Database::new(&server, support::As::App).await;
        let storage = PostgresStorage::open(&database.options()).await.unwrap();
        let admin = database.admin().await;
        admin.batch_execute(CHANGES).await.unwrap();
        if analysed {
            admin.batch_execute("ANALYZE erp_plugin.record_history").await.unwrap();
        }
        let tenant = TenantId::parse("northwind").unwrap();
        let mut session = begin(&storage, As::Tenant(&tenant), Mode::Write).await;
        let of = |parameter: Parameter<'static>, of: ColumnType| (parameter, of.parameter());
        let own = [
            of(Parameter::Text("northwind"), ColumnType::Text),
            of(Parameter::Text("suite.e1"), ColumnType::Text),
        ];
        let number = || of(Parameter::Integer(3), ColumnType::Integer);
        let record = || of(Parameter::Uuid(Uuid::from_u128(7)), ColumnType::Uuid);
        let at = || of(Parameter::Time("2026-01-02T00:00:00Z".parse().unwrap()), ColumnType::DateTime);
        for (sql, more, index, place) in [
            (
                history::select(true, false, false),
                vec![number(), record()],
                "record_history_pkey",
                "record = ",
            ),
            (
                history::select(true, true, false),
                vec![number(), record(), number(), number()],
                "record_history_pkey",
                "ROW(version, verb) < ",
            ),
            (history::select(false, false, false), vec![number()], "record_history_newest", "entity = "),
            (
                history::select(false, false, true),
                vec![
                    number(),
                    at(),
                    at(),
                    of(Parameter::Null, ColumnType::Text),
                    of(Parameter::Null, ColumnType::Integer),
                ],
                "record_history_newest",
                "at >= ",
            ),
            (
                history::select(false, true, false),
                vec![number(), at(), record(), number(), number()],
                "record_history_newest",
                "ROW(at, record, version, verb) < ",
            ),
            (history::PRUNE.to_owned(), vec![at(), number()], "record_history_newest", "at < "),
        ] {
            let parameters = own.iter().cloned().chain(more).collect();
            for plan in plans(&mut session, &Sql { text: sql.clone(), parameters }).await {
                assert!(!plan.contains("Seq Scan") && !plan.contains("Bitmap"), "{plan}");
                // Without statistics one index is as good to the planner as another.
                if analysed {
                    assert!(
                        plan.contains(&format!(" using {index} on record_history")),
                        "not by {index}:\n{plan}"
                    );
                    assert!(plan.contains(place), "not from {place}:\n{plan}");
                    assert!(!sorts(&plan), "it is sorted:\n{plan}");
                }
            }
        }
    }
}
