use std::time::Duration;

use super::*;
use crate::event::RetryPolicy;
use crate::schema::FieldType;

const GOOD: &str = r#"
manifest = 1
[plugin]
name = "inventory"
version = "0.1.0"
title.en = "Inventory"
title.zh = "库存"
contract = "0"
[capabilities]
entities = ["purchasing.purchase_order:read"]
events-publish = ["inventory.*"]
[[subscriptions]]
event = "order.created"
[entities.item]
title.en = "Item"
display = "sku"
[entities.item.fields.sku]
type = "string"
required = true
unique = true
max-length = 20
[entities.item.fields.price]
type = "decimal"
precision = 12
scale = 2
default = "0.00"
min = "0"
[entities.move.fields.item]
type = "reference"
entity = "item"
[config.default_category]
type = "string"
default = "general"
[limits]
rows-written = 200
"#;

#[test]
fn a_manifest_reads_the_same_from_toml_and_from_canonical_json() {
    let manifest = Manifest::from_toml(GOOD).unwrap();
    assert_eq!(manifest.name.as_str(), "inventory");
    assert_eq!(manifest.entities.len(), 2);
    let price = manifest.entities[0].field("price").unwrap();
    assert_eq!(price.field_type, FieldType::Decimal { precision: 12, scale: 2 });
    assert_eq!(price.default, crate::Value::Decimal(0));
    assert_eq!(manifest.limits, [(LimitKind::RowsWritten, 200)]);
    assert_eq!(Manifest::from_json(&manifest.to_canonical_json()).unwrap(), manifest);
}

#[test]
fn a_field_may_take_permissions_of_the_plugins_own() {
    let options = "max-length = 20\nread-permission = \"inventory.item.read.field:sku\"";
    let manifest = Manifest::from_toml(&GOOD.replacen("max-length = 20", options, 1)).unwrap();
    let item = &manifest.entities[0];
    let sku = item.field("sku").unwrap();
    assert_eq!(sku.read_permission.as_ref().unwrap().as_str(), "inventory.item.read.field:sku");
    assert!(sku.write_permission.is_none() && item.has_guarded_fields());
    assert!(!manifest.entities[1].has_guarded_fields());
}

#[test]
fn history_is_kept_for_ever_unless_it_says_otherwise() {
    use crate::schema::KeptHistory;
    let reads = |history: &str| {
        let head = "manifest = 1\n[plugin]\nname = \"inventory\"\nversion = \"0.1.0\"\ncontract = \"0\"\n";
        let text = format!("{head}[entities.item]\n{history}\n[entities.item.fields.sku]\ntype = \"string\"");
        Manifest::from_toml(&text)
            .map(|manifest| manifest.entities[0].history)
            .map_err(|error| error.to_string())
    };
    for (history, expected) in [
        ("", KeptHistory::Forever),
        ("history = true", KeptHistory::Forever),
        ("history = false", KeptHistory::None),
        ("history = { keep-days = 3650 }", KeptHistory::Days(3650)),
        ("history.keep-days = 1", KeptHistory::Days(1)),
    ] {
        assert_eq!(reads(history), Ok(expected), "{history}");
    }
    for (history, part) in [
        ("history = \"no\"", "must be true, false or { keep-days = <number> }"),
        ("history = {}", "keep-days is missing; without a limit leave `history` out"),
        ("history = { keep-days = 0 }", "must be a whole number from 1 to 36525, not 0"),
        ("history = { keep_days = 5 }", "did you mean `keep-days`?"),
    ] {
        let error = reads(history).unwrap_err();
        assert!(error.contains("entities.item.history") && error.contains(part), "{error}");
    }
}

#[test]
fn a_reference_restricts_unless_it_says_otherwise_and_a_string_is_searchable_if_it_says_so() {
    use crate::schema::OnDelete;
    for (options, expected) in [
        ("", OnDelete::Restrict),
        ("on-delete = \"restrict\"", OnDelete::Restrict),
        ("on-delete = \"set-null\"", OnDelete::SetNull),
        ("on-delete = \"cascade\"\nrequired = true", OnDelete::Cascade),
    ] {
        let toml = GOOD.replacen("entity = \"item\"", &format!("entity = \"item\"\n{options}"), 1);
        let toml = toml.replacen("max-length = 20", "max-length = 20\nsearch = true", 1);
        let manifest = Manifest::from_toml(&toml).unwrap();
        let field = |name: &str| manifest.entities.iter().find_map(|entity| entity.field(name)).unwrap();
        match &field("item").field_type {
            FieldType::Reference { on_delete, .. } => assert_eq!(*on_delete, expected, "{options}"),
            other => panic!("{other:?} is no reference"),
        }
        assert!(field("sku").searchable && !field("price").searchable);
        assert_eq!(Manifest::from_json(&manifest.to_canonical_json()).unwrap(), manifest);
    }
}

/// Changes one line of the good manifest and returns the error.
fn refused(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    Manifest::from_toml(&GOOD.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn every_mistake_names_its_key_and_the_way_out() {
    for (from, to, expected) in [
        (
            "required = true",
            "requierd = true",
            "entities.item.fields.sku.requierd is not a known key; did you mean `required`?",
        ),
        ("manifest = 1", "", "manifest is missing; write `manifest = 1`"),
        ("manifest = 1", "manifest = 2", "manifest must be a whole number from 1 to 1, not 2"),
        ("contract = \"0\"", "contract = \"7\"", "plugin.contract \"7\" is not served"),
        ("contract = \"0\"", "", "plugin.contract is missing"),
        ("name = \"inventory\"", "name = \"Inventory\"", "plugin.name invalid plugin name \"Inventory\""),
        ("version = \"0.1.0\"", "version = \"1\"", "plugin.version must be a version such as 1.2.0"),
        (
            "type = \"string\"",
            "type = \"varchar\"",
            "entities.item.fields.sku.type is \"varchar\"; it must be string, text",
        ),
        ("scale = 2", "", "entities.item.fields.price.type is decimal, which needs `precision` and `scale`"),
        ("scale = 2", "scale = 13", "entities.item.fields.price.scale is 13, more than the precision 12"),
        ("max-length = 20", "max-length = 9000", "a string has at most 500, use text"),
        ("default = \"0.00\"", "default = \"x\"", "entities.item.fields.price.default must be a decimal"),
        ("fields.sku]", "fields.tenant_id]", "entities.item.fields.tenant_id is a name that the host keeps"),
        (
            "fields.sku]",
            "fields.deleted_by]",
            "entities.item.fields.deleted_by is a name that the host keeps",
        ),
        ("fields.sku]", "fields.data]", "entities.item.fields.data is a name that the host keeps"),
        (
            "name = \"inventory\"",
            "name = \"sqlite\"",
            "plugin.name invalid plugin name \"sqlite\": 2 to 24 of",
        ),
        (
            "max-length = 20",
            "max-length = 20\ndefault = \"012345678901234567890\"",
            "entities.item.fields.sku.default has 21 characters, 20 are allowed",
        ),
        (
            "max-length = 20",
            "pattern = \"[A-Z]+\"\ndefault = \"a\"",
            "entities.item.fields.sku.default must match [A-Z]+, not \"a\"",
        ),
        ("min = \"0\"", "min = \"0.01\"", "entities.item.fields.price.default must be at least \"0.01\""),
        (
            "min = \"0\"",
            "min = 2\nmax = \"1.5\"",
            "entities.item.fields.price.min is \"2.00\", more than the max \"1.50\"",
        ),
        ("entity = \"item\"", "", "entities.move.fields.item.entity is missing"),
        (
            "entity = \"item\"",
            "entity = \"item\"\non-delete = \"nullify\"",
            "entities.move.fields.item.on-delete is \"nullify\"; it must be restrict, set-null or cascade",
        ),
        (
            "entity = \"item\"",
            "entity = \"item\"\nrequired = true\non-delete = \"set-null\"",
            "entities.move.fields.item.on-delete is set-null, which a required field cannot be",
        ),
        (
            "max-length = 20",
            "on-delete = \"cascade\"",
            "entities.item.fields.sku.on-delete can be had on reference fields only",
        ),
        (
            "scale = 2",
            "scale = 2\nsearch = true",
            "entities.item.fields.price.search can be had on string fields only",
        ),
        (
            "max-length = 20",
            "read-permission = true",
            "entities.item.fields.sku.read-permission must be a string, not true",
        ),
        (
            "max-length = 20",
            "read-permission = \"inventory.*\"",
            "entities.item.fields.sku.read-permission is an invalid permission \"inventory.*\": 2 to 8 segments",
        ),
        (
            "max-length = 20",
            "write-permission = \"item.write\"",
            "write-permission is \"item.write\"; it must begin with the plugin's own name, such as inventory.item.write",
        ),
        ("max-length = 20", "search = 1", "entities.item.fields.sku.search must be true or false"),
        ("display = \"sku\"", "display = \"skew\"", "entities.item.display names \"skew\""),
        ("event = \"order.created\"", "event = \"order\"", "subscriptions[0].event is \"order\""),
        (
            "event = \"order.created\"",
            "event = \"order.created\"\nretry = { retrys = 1 }",
            "subscriptions[0].retry.retrys is not a known key; did you mean `retries`",
        ),
        (
            "event = \"order.created\"",
            "event = \"order.created\"\nretry = { first-delay = \"soon\" }",
            "subscriptions[0].retry.first-delay is \"soon\": it must be a length of time such as 500ms, 2s",
        ),
        (
            "event = \"order.created\"",
            "event = \"order.created\"\nretry = { max-delay = \"8d\" }",
            "subscriptions[0].retry.max-delay is \"8d\": at most 7days is allowed",
        ),
        (
            "event = \"order.created\"",
            "event = \"order.created\"\nretry = { first-delay = \"1m\", max-delay = \"1s\" }",
            "subscriptions[0].retry.max-delay is shorter than `first-delay`",
        ),
        (
            "event = \"order.created\"",
            "event = \"order.created\"\nkey = \"\"",
            "subscriptions[0].key must name a field of the payload",
        ),
        (":read\"", "\"", "capabilities.entities has \"purchasing.purchase_order\": no access is named"),
        ("rows-written = 200", "rows = 200", "limits.rows is not a known key; did you mean `rows-"),
        ("default = \"general\"", "default = 7", "config.default_category.default must be a string, not 7"),
        ("[limits]", "[[hooks]]\nname = \"x\"\n[limits]", "hooks needs erp-plugin ≥ 0.2"),
        ("manifest = 1", "manifest = 1\nmanifest = 1", "is not TOML"),
    ] {
        let error = refused(from, to);
        assert!(error.contains(expected), "{to:?}\n  gave {error}\n  not  {expected}");
    }
}

#[test]
fn a_pattern_is_tried_on_short_texts_only() {
    let note = |options: &str| {
        let field = format!("[entities.note.fields.body]\npattern = \"x*\"\n{options}\n[limits]");
        Manifest::from_toml(&GOOD.replacen("[limits]", &field, 1))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    for good in
        ["type = \"string\"", "type = \"string\"\nmax-length = 500", "type = \"text\"\nmax-length = 500"]
    {
        assert_eq!(note(good), Ok(()), "{good}");
    }
    for bad in ["type = \"text\"", "type = \"text\"\nmax-length = 501"] {
        let expected = "entities.note.fields.body.pattern needs a `max-length` of at most 500 beside it";
        assert!(note(bad).unwrap_err().contains(expected), "{bad}");
    }
}

#[test]
fn no_part_has_more_entries_than_it_may() {
    type Part<'a> = &'a dyn Fn(usize) -> String;
    let repeated = |count: usize, entry: &dyn Fn(usize) -> String| (0..count).map(entry).collect::<String>();
    let list = |key: &str, count: usize, text: &dyn Fn(usize) -> String| {
        format!("{key} = [{}]\n", repeated(count, &|n| format!("\"{}\",", text(n))))
    };
    let with = |before: &str, part: &str| {
        let toml = GOOD.replacen(before, &format!("{part}{before}"), 1);
        Manifest::from_toml(&toml).map(drop).map_err(|error| error.to_string())
    };
    // The good manifest has some of each already.
    let cases: [(&str, Part<'_>, usize, &str); 6] = [
        (
            "[limits]",
            &|count| repeated(count, &|n| format!("[entities.e{n}.fields.a]\ntype = \"text\"\n")),
            62,
            "entities has 65 entries, 64 are allowed",
        ),
        (
            "[entities.item.fields.price]",
            &|count| repeated(count, &|n| format!("[entities.item.fields.f{n}]\ntype = \"text\"\n")),
            198,
            "entities.item.fields has 201 entries, 200 are allowed",
        ),
        (
            "[limits]",
            &|count| {
                let options = list("options", count, &|n| format!("o{n}"));
                format!("[entities.item.fields.kind]\ntype = \"enum\"\n{options}")
            },
            200,
            "entities.item.fields.kind.options has 201 entries, 200 are allowed",
        ),
        (
            "[entities.item]",
            &|count| repeated(count, &|n| format!("[[subscriptions]]\nevent = \"a.e{n}\"\n")),
            99,
            "subscriptions has 101 entries, 100 are allowed",
        ),
        (
            "[limits]",
            &|count| repeated(count, &|n| format!("[config.k{n}]\ntype = \"json\"\n")),
            99,
            "config has 101 entries, 100 are allowed",
        ),
        (
            "[[subscriptions]]",
            &|count| list("system-config", count, &|n| format!("system.k{n}")),
            100,
            "capabilities.system-config has 101 entries, 100 are allowed",
        ),
    ];
    for (before, part, most, expected) in cases {
        assert_eq!(with(before, &part(most)), Ok(()), "{expected}");
        let error = with(before, &part(most + 1)).unwrap_err();
        assert!(error.contains(expected), "{error}\n  is not\n{expected}");
    }
}

#[test]
fn the_manifests_in_the_guide_are_valid() {
    let guide = include_str!("../../../../docs/writing-plugins.md");
    let manifests: Vec<&str> = guide
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|block| block.contains("manifest = 1"))
        .collect();
    assert_eq!(manifests.len(), 2);
    for manifest in manifests {
        Manifest::from_toml(manifest).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_number_series_has_a_pattern_and_is_required_and_unique() {
    let with = |options: &str| {
        let field = format!(
            "[entities.item.fields.no]\ntype = \"number-series\"\n{options}\n[entities.item.fields.price]"
        );
        Manifest::from_toml(&GOOD.replacen("[entities.item.fields.price]", &field, 1))
    };
    let pattern = "pattern = \"I-{yyyy}-{000}\"";
    let manifest = with(pattern).unwrap();
    let item = &manifest.entities[0];
    let field = item.field("no").unwrap();
    assert!(field.required && field.unique && field.has_index() && item.is_numbered());
    assert!(field.pattern.is_none() && field.series().is_some());
    assert!(!manifest.entities[1].is_numbered());

    let always = "is not for a number-series, which is always required, unique and indexed; leave it out";
    let numbered = "is not for a number-series, which the host numbers by its pattern; leave it out";
    for (options, error) in [
        ("", "pattern is missing; write how the numbers look, such as \"INV-{yyyy}-{00000}\"".to_owned()),
        (
            "pattern = \"I\"",
            "pattern has no counter; add one such as {00000}, with as many zeros as digits are wanted"
                .to_owned(),
        ),
        ("required = true", format!("required {always}")),
        ("unique = false", format!("unique {always}")),
        ("indexed = true", format!("indexed {always}")),
        ("default = \"I-1\"", format!("default {numbered}")),
        ("min = \"I-1\"", format!("min {numbered}")),
        ("max = \"I-1\"", format!("max {numbered}")),
        ("max-length = 9", format!("max-length {numbered}")),
        ("write-permission = \"inventory.no\"", format!("write-permission {numbered}")),
        ("search = true", "search can be had on string fields only".to_owned()),
        ("options = [\"a\"]", "options can be had on enum fields only".to_owned()),
    ] {
        let given = if options.is_empty() || options.starts_with("pattern") {
            options.to_owned()
        } else {
            format!("{pattern}\n{options}")
        };
        let refused = with(&given).unwrap_err().to_string();
        assert!(refused.contains(&format!("entities.item.fields.no.{error}")), "{refused}");
    }
}

#[test]
fn a_subscription_says_what_keeps_its_events_in_order_and_how_often_they_are_tried() {
    let of = |options: &str| {
        let text = GOOD.replacen("event = \"order.created\"", &format!("event = \"order.*\"\n{options}"), 1);
        Manifest::from_toml(&text).unwrap().subscriptions.remove(0)
    };
    let plain = of("");
    assert_eq!((plain.pattern.as_str(), &plain.key, &plain.retry), ("order.*", &None, &RetryPolicy::DEFAULT));
    let full =
        of("key = \"customer\"\nretry = { retries = 5, first-delay = \"500ms\", max-delay = \"1h 30m\" }");
    assert_eq!(full.key.as_deref(), Some("customer"));
    let (first_delay, max_delay) = (Duration::from_millis(500), Duration::from_mins(90));
    assert_eq!(full.retry, RetryPolicy { retries: 5, first_delay, max_delay });
    let slow = of("retry = { first-delay = \"2m\" }").retry;
    assert_eq!(slow.max_delay, Duration::from_mins(2));
}

/// The good manifest with this in its only job.
fn with_job(job: &str) -> Result<Manifest, String> {
    let text = GOOD.replacen("[limits]", &format!("[[jobs]]\n{job}\n[limits]"), 1);
    Manifest::from_toml(&text).map_err(|error| error.to_string())
}

#[test]
fn a_job_says_when_it_runs_and_what_becomes_of_what_was_missed() {
    use crate::job::{CatchUp, Overlap};
    let plain = with_job("name = \"reorder\"").unwrap().jobs.remove(0);
    assert_eq!((plain.name.as_str(), &plain.schedule, plain.jitter), ("reorder", &None, Duration::ZERO));
    assert_eq!(
        (plain.overlap, plain.catch_up, &plain.retry),
        (Overlap::Skip, CatchUp::Last, &RetryPolicy::DEFAULT)
    );
    let full = with_job(
        "name = \"re-order_2\"\nschedule = \"0 6 * * 1-5\"\ntime-zone = \"Europe/Berlin\"\njitter = \"5m\"\n\
         overlap = \"wait\"\ncatch-up = \"all\"\nretry = { retries = 1 }\n\
         limits = { fuel = 5, deadline = \"1m\", rows-written = 7 }",
    )
    .unwrap();
    assert_eq!(Manifest::from_json(&full.to_canonical_json()).unwrap(), full);
    let job = full.job(&JobName::parse("re-order_2").unwrap()).unwrap();
    assert_eq!(job.schedule.as_ref().unwrap().to_string(), "0 6 * * 1-5 Europe/Berlin");
    assert_eq!((job.overlap, job.catch_up, job.retry.retries), (Overlap::Wait, CatchUp::All, 1));
    assert_eq!(job.jitter, Duration::from_mins(5));
    let limits = [(LimitKind::Fuel, 5), (LimitKind::Deadline, 60_000), (LimitKind::RowsWritten, 7)];
    assert_eq!(job.limits, limits);
    let in_utc = with_job("name = \"x\"\nschedule = \"@daily\"").unwrap();
    assert_eq!(in_utc.jobs[0].schedule.as_ref().unwrap().zone(), "UTC");
}

#[test]
fn a_wrong_job_is_refused_with_its_key_and_the_way_out() {
    for (job, expected) in [
        ("schedule = \"@daily\"", "jobs[0].name is missing"),
        ("name = \"a.b\"", "jobs[0].name is an invalid job name \"a.b\": 1 to 60 of a-z 0-9 _ -"),
        ("name = \"a\"\n[[jobs]]\nname = \"a\"", "jobs[1].name is \"a\", as another job's is"),
        (
            "name = \"a\"\nschedule = \"0 6 * *\"",
            "jobs[0].schedule is \"0 6 * *\": it must be five fields of cron",
        ),
        (
            "name = \"a\"\nschedule = \"0 0 30 2 *\"",
            "jobs[0].schedule is \"0 0 30 2 *\": no moment is like that",
        ),
        (
            "name = \"a\"\nschedule = \"@daily\"\ntime-zone = \"Berlin\"",
            "jobs[0].time-zone is \"Berlin\": it must be a time zone of the IANA database such as Europe/Berlin",
        ),
        ("name = \"a\"\ntime-zone = \"UTC\"", "jobs[0].time-zone is of a `schedule`, and there is none"),
        ("name = \"a\"\noverlap = \"run\"", "jobs[0].overlap is \"run\": it must be one of skip, wait"),
        (
            "name = \"a\"\ncatch-up = \"some\"",
            "jobs[0].catch-up is \"some\": it must be one of last, all, none",
        ),
        ("name = \"a\"\njitter = \"25h\"", "jobs[0].jitter is \"25h\": at most 1day is allowed"),
        ("name = \"a\"\nschedul = \"@daily\"", "jobs[0].schedul is not a known key; did you mean `schedule`"),
        ("name = \"a\"\nlimits = { deadline = 5 }", "jobs[0].limits.deadline must be a string, not 5"),
        ("name = \"a\"\nlimits = { deadline = \"0s\" }", "jobs[0].limits.deadline must be at least 1ms"),
        (
            "name = \"a\"\nlimits = { fule = 5 }",
            "jobs[0].limits.fule is not a known key; did you mean `fuel`",
        ),
        (
            "name = \"a\"\nretry = { retrys = 5 }",
            "jobs[0].retry.retrys is not a known key; did you mean `retries`",
        ),
    ] {
        let error = with_job(job).unwrap_err();
        assert!(error.contains(expected), "{job:?}\n  gave {error}\n  not  {expected}");
    }
    let many = |count| (0..count).map(|n| format!("[[jobs]]\nname = \"j{n}\"\n")).collect::<String>();
    assert!(with_job(&many(99).replacen("[[jobs]]", "", 1)).is_ok());
    let error = with_job(&format!("name = \"x\"\n{}", many(100))).unwrap_err();
    assert!(error.contains("jobs has 101 entries, 100 are allowed"), "{error}");
}
