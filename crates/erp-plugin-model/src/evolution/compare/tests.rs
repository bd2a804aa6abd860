use super::*;
use crate::{EntityName, EntityRef, Manifest};

/// The entity `shop.thing` with these fields.
fn thing(fields: &str) -> Vec<EntitySchema> {
    let text = format!(
        "manifest = 1\n[plugin]\nname = \"shop\"\nversion = \"1.0.0\"\ncontract = \"0\"\n[entities.thing.fields]\n{fields}"
    );
    Manifest::from_toml(&text).unwrap().entities
}

/// The steps from one set of fields to the other, each as its class, subject and text.
fn steps(from: &str, to: &str) -> Vec<String> {
    let (from, to) = (thing(from), thing(to));
    let steps = plan(&from, &[], &to);
    let mut current = from[0].clone();
    for step in &steps {
        assert_eq!(step.before.as_ref(), Some(&current), "{step}");
        current = step.after.clone().unwrap();
    }
    assert_eq!(current, to[0].in_columns_of(&current), "the last step leads to what is wanted");
    assert!(plan(&[current], &[], &to).is_empty(), "a plan that was made leaves nothing to do");
    steps
        .iter()
        .map(|step| {
            format!("{} {}: {step}", step.class.as_str(), step.subject().trim_start_matches("shop.thing."))
        })
        .collect()
}

#[test]
fn every_change_has_its_steps_and_class() {
    let a = "a = { type = \"string\" }\n";
    let table: &[(&str, &str, &[&str])] = &[
        ("", "", &[]),
        ("", "b = { type = 'integer' }", &["safe b: new field, integer"]),
        (
            "",
            "b = { type = 'integer', required = true, default = 0 }",
            &["safe b: new field, integer", "safe b: absent values get the default", "safe b: required"],
        ),
        (
            "",
            "b = { type = 'integer', required = true }",
            &["safe b: new field, integer", "checked b: required"],
        ),
        ("b = { type = 'integer' }", "", &["destructive b: field removed, integer"]),
        (
            "b = { type = 'integer' }",
            "c = { type = 'integer', renamed-from = 'b' }",
            &["safe c: renamed from b"],
        ),
        (
            "c = { type = 'integer', renamed-from = 'b' }",
            "b = { type = 'integer' }",
            &["safe b: renamed from c"],
        ),
        (
            "b = { type = 'integer' }",
            "b = { type = 'integer', indexed = true }",
            &["safe b: indexed false → true"],
        ),
        (
            "b = { type = 'integer' }",
            "b = { type = 'integer', unique = true }",
            &["checked b: unique false → true; indexed false → true"],
        ),
        (
            "b = { type = 'integer', unique = true }",
            "b = { type = 'integer' }",
            &["safe b: unique true → false; indexed true → false"],
        ),
        (
            "b = { type = 'string', max-length = 5 }",
            "b = { type = 'string', max-length = 9 }",
            &["safe b: max-length 5 → 9"],
        ),
        (
            "b = { type = 'string', max-length = 9 }",
            "b = { type = 'string', max-length = 5 }",
            &["checked b: max-length 9 → 5"],
        ),
        ("b = { type = 'integer', min = 1 }", "b = { type = 'integer', min = 0 }", &["safe b: min 1 → 0"]),
        ("b = { type = 'integer' }", "b = { type = 'integer', min = 0 }", &["checked b: min none → 0"]),
        ("b = { type = 'integer', max = 5 }", "b = { type = 'integer', max = 4 }", &["checked b: max 5 → 4"]),
        (
            "b = { type = 'enum', options = ['x'] }",
            "b = { type = 'enum', options = ['x', 'y'] }",
            &["safe b: enum of x → enum of x, y"],
        ),
        (
            "b = { type = 'enum', options = ['x', 'y'] }",
            "b = { type = 'enum', options = ['x'] }",
            &["checked b: enum of x, y → enum of x"],
        ),
        (
            "b = { type = 'string' }",
            "b = { type = 'text' }",
            &["safe b: string → text; max-length 255 → any"],
        ),
        (
            "b = { type = 'text' }",
            "b = { type = 'string' }",
            &["checked b: text → string; max-length any → 255"],
        ),
        (
            "b = { type = 'decimal', precision = 12, scale = 2 }",
            "b = { type = 'decimal', precision = 14, scale = 2 }",
            &["safe b: decimal(12,2) → decimal(14,2)"],
        ),
        (
            "b = { type = 'decimal', precision = 12, scale = 2, indexed = true }",
            "b = { type = 'decimal', precision = 14, scale = 4, indexed = true }",
            &["safe b: decimal(12,2) → decimal(14,4)", "safe b: indexed false → true"],
        ),
        (
            "b = { type = 'decimal', precision = 14, scale = 4 }",
            "b = { type = 'decimal', precision = 12, scale = 2 }",
            &["destructive b: decimal(14,4) → decimal(12,2)"],
        ),
        ("b = { type = 'string' }", "b = { type = 'integer' }", &["destructive b: string → integer"]),
        (
            "b = { type = 'boolean' }",
            "b = { type = 'date' }",
            &["destructive b: field removed, boolean", "safe b: new field, date"],
        ),
        (
            "b = { type = 'integer', required = true }",
            "b = { type = 'integer' }",
            &["safe b: no longer required"],
        ),
        ("b = { type = 'integer' }", "b = { type = 'integer', required = true }", &["checked b: required"]),
        ("b = { type = 'string' }", "b = { type = 'string', search = true }", &["safe b: searchable"]),
        (
            "b = { type = 'string', search = true }",
            "b = { type = 'string' }",
            &["safe b: no longer searchable"],
        ),
        (
            "b = { type = 'integer' }",
            "b = { type = 'integer', label = 'B' }",
            &["safe shop.thing: labels and order"],
        ),
        (
            "b = { type = 'uuid' }",
            "b = { type = 'reference', entity = 'thing' }",
            &["checked b: uuid → reference to shop.thing; indexed false → true"],
        ),
        (
            "",
            "b = { type = 'number-series', pattern = 'B{0}' }",
            &[
                "safe b: new field, number-series B{0}",
                "checked b: unique false → true; indexed false → true",
                "checked b: required",
            ],
        ),
        (
            "b = { type = 'number-series', pattern = 'B{0}' }",
            "b = { type = 'number-series', pattern = 'B-{yyyy}-{0}' }",
            &["safe b: number-series B{0} → number-series B-{yyyy}-{0}"],
        ),
        (
            "b = { type = 'string', required = true, unique = true }",
            "b = { type = 'number-series', pattern = 'B{0}' }",
            &["safe b: string → number-series B{0}; max-length 255 → any"],
        ),
        (
            "b = { type = 'number-series', pattern = 'B{0}' }",
            "b = { type = 'string', required = true, unique = true, max-length = 500 }",
            &["checked b: number-series B{0} → string; max-length any → 500"],
        ),
    ];
    for (from, to, expected) in table {
        let (from, to) = (format!("{a}{from}").replace('\'', "\""), format!("{a}{to}").replace('\'', "\""));
        assert_eq!(steps(&from, &to), *expected, "{from} → {to}");
    }
}

#[test]
fn a_column_that_is_taken_is_not_taken_again() {
    let from = thing("a = { type = \"string\" }");
    let renamed = thing("b = { type = \"string\", renamed-from = \"a\" }");
    let found = vec![plan(&from, &[], &renamed).pop().unwrap().after.unwrap()];
    assert_eq!(found[0].field("b").unwrap().column(), "a");
    let both = thing("a = { type = \"integer\" }\nb = { type = \"string\", renamed-from = \"a2\" }");
    let steps = plan(&found, &[], &both);
    assert_eq!(steps[0].after.as_ref().unwrap().field("a").unwrap().column(), "a__2");
}

#[test]
fn an_entity_comes_and_goes_whole() {
    let one = thing("a = { type = \"string\" }");
    assert!(matches!(
        plan(&[], &[], &one)[..],
        [Step { action: Action::CreateEntity, class: Class::Safe, .. }]
    ));
    assert!(matches!(
        plan(&one, &[], &[])[..],
        [Step { action: Action::ArchiveEntity, class: Class::Destructive, .. }]
    ));
    let dynamic = vec![EntitySchema::dynamic(one[0].name.clone())];
    assert!(plan(&dynamic, &[], &[]).is_empty());
    assert!(matches!(plan(&dynamic, &[], &one)[..], [Step { action: Action::Declare, .. }]));
}

#[test]
fn an_entity_that_was_put_aside_comes_back_before_anything_else_is_planned_for_it() {
    let one = thing("a = { type = \"string\" }");
    let dynamic = EntitySchema::dynamic(EntityRef {
        entity: EntityName::parse("note").unwrap(),
        ..one[0].name.clone()
    });
    let archived = |schema: &EntitySchema, kept_as: &str| Archived {
        entity: schema.name.clone(),
        field: None,
        table: schema.name.table(),
        kept_as: kept_as.to_owned(),
        definition: schema.clone(),
        version: None,
    };
    let kept = [
        archived(&one[0], "shop__thing__old1"),
        archived(&dynamic, "shop__note__old1"),
        archived(&one[0], "shop__thing__old2"),
    ];
    let revived = |found: &[EntitySchema], wanted: &[EntitySchema]| -> Vec<String> {
        let steps = plan(found, &kept, wanted);
        steps
            .iter()
            .map(|step| match &step.action {
                Action::ReviveEntity { table } => table.to_string(),
                _ => format!("{step}"),
            })
            .collect()
    };
    let more = thing("a = { type = \"string\", required = true }");
    assert_eq!(revived(&[], &more), ["shop__note__old1", "shop__thing__old2"]);
    // What nobody wants stays where it is, and what is there does not come twice.
    assert_eq!(revived(&[], &[]), ["shop__note__old1"]);
    assert_eq!(revived(std::slice::from_ref(&dynamic), &[]), [] as [&str; 0]);
    assert_eq!(revived(&[one[0].clone(), dynamic.clone()], &more), ["required"]);

    let left = leave(&[one[0].clone(), dynamic]);
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|step| step.action == Action::ArchiveEntity && step.after.is_none()));
}
