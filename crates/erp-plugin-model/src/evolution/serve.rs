//! Whether two versions of a plugin can work on one table, each with the fields that it knows.

use super::{Action, Check, Step, plan};
use crate::schema::EntitySchema;

/// What keeps a version that declares this from working on the tables as they are, beside the version that they were made
/// for; `None` if nothing does. Fields that it does not know it leaves alone.
#[must_use]
pub fn obstacle(found: &[EntitySchema], declared: &[EntitySchema]) -> Option<Step> {
    plan(found, &[], declared).into_iter().find(|step| !is_harmless(step))
}

/// Whether a version can do without a step of the plan to its own tables.
fn is_harmless(step: &Step) -> bool {
    match &step.action {
        Action::ArchiveEntity | Action::Describe => true,
        // It cannot fill one that it does not know.
        Action::ArchiveField(_) => step.fields().0.is_some_and(|field| !field.required),
        // What it asks of values it looks at itself; of other records only the table knows.
        Action::ChangeField(_) => {
            !step.checks.iter().any(|check| matches!(check, Check::Duplicate(_) | Check::Dangling(_)))
        }
        Action::CreateEntity
        | Action::ReviveEntity { .. }
        | Action::Declare
        | Action::AddField(_)
        | Action::ReviveField { .. }
        | Action::RenameField { .. }
        | Action::Convert(_)
        | Action::Fill(_)
        | Action::Require(_)
        | Action::Release(_)
        | Action::AddSearch(_)
        | Action::DropSearch(_) => false,
    }
}

/// What tables must be for a version to be tried beside others: what it declares, and what they have of there is.
#[must_use]
pub fn alongside(found: &[EntitySchema], declared: &[EntitySchema]) -> Vec<EntitySchema> {
    let of = |name| found.iter().find(|own| own.name == name && !own.is_dynamic());
    let mut wanted: Vec<EntitySchema> = declared
        .iter()
        .map(|schema| {
            let Some(own) = of(schema.name.clone()) else { return schema.clone() };
            let others = own.fields().iter().filter(|field| schema.field(field.name.as_str()).is_none());
            let mut fields: Vec<_> = schema.fields().iter().chain(others).cloned().collect();
            fields.sort_by(|a, b| a.name.cmp(&b.name));
            schema.with_fields(fields)
        })
        .collect();
    let missing = |own: &&EntitySchema| !declared.iter().any(|schema| schema.name == own.name);
    wanted.extend(found.iter().filter(|own| !own.is_dynamic()).filter(missing).cloned());
    wanted
}

/// A field that would be renamed, with the field that has its values: nobody could go on with the old name.
#[must_use]
pub fn renaming(found: &[EntitySchema], declared: &[EntitySchema]) -> Option<Step> {
    plan(found, &[], declared).into_iter().find(|step| matches!(step.action, Action::RenameField { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    fn entities(text: &str) -> Vec<EntitySchema> {
        let head = "manifest = 1\n[plugin]\nname = \"suite\"\nversion = \"1.0.0\"\ntitle.en = \"Suite\"\ncontract = \"0\"\n";
        Manifest::from_toml(&format!("{head}{text}")).unwrap().entities
    }

    fn item(fields: &str) -> Vec<EntitySchema> {
        entities(&format!("[entities.item.fields]\nsku = {{ type = \"string\" }}\n{fields}"))
    }

    #[test]
    fn an_older_version_goes_on_beside_what_it_does_not_know() {
        let old = item("");
        for newer in [
            "",
            "note = { type = \"text\" }",
            "note = { type = \"string\", indexed = true, search = true }",
            "count = { type = \"integer\", default = 7 }",
        ] {
            assert_eq!(obstacle(&item(newer), &old), None, "{newer}");
        }
        let longer = entities("[entities.item.fields]\nsku = { type = \"string\", max-length = 100 }");
        let shorter = entities("[entities.item.fields]\nsku = { type = \"string\", max-length = 50 }");
        assert_eq!(obstacle(&longer, &shorter), None);
        assert_eq!(obstacle(&shorter, &longer), None);
        let mut more = item("");
        more.extend(entities("[entities.other.fields]\na = { type = \"string\" }"));
        assert_eq!(obstacle(&more, &old), None);
        assert!(obstacle(&old, &more).is_some());
    }

    #[test]
    fn a_version_that_would_do_harm_is_told_apart() {
        for (newer, older) in [
            ("note = { type = \"text\", required = true }", ""),
            ("", "note = { type = \"text\" }"),
            ("note = { type = \"integer\" }", "note = { type = \"string\" }"),
            ("note = { type = \"string\" }", "note = { type = \"string\", unique = true }"),
            ("note = { type = \"string\" }", "note = { type = \"string\", search = true }"),
            ("note = { type = \"string\", search = true }", "note = { type = \"string\" }"),
            ("note = { type = \"string\", required = true }", "note = { type = \"string\" }"),
            ("note = { type = \"string\" }", "note = { type = \"string\", required = true }"),
            ("text = { type = \"string\", renamed-from = \"note\" }", "note = { type = \"string\" }"),
        ] {
            assert!(obstacle(&item(newer), &item(older)).is_some(), "{newer} with {older}");
        }
    }

    #[test]
    fn what_is_tried_beside_others_takes_nothing_away() {
        let found = item("note = { type = \"text\" }\nold = { type = \"integer\" }");
        let declared = item("note = { type = \"text\" }\nnew = { type = \"date\" }");
        let wanted = alongside(&found, &declared);
        let steps = plan(&found, &[], &wanted);
        let subjects: Vec<_> = steps.iter().map(|step| (step.subject(), step.class)).collect();
        assert_eq!(subjects, [("suite.item.new".to_owned(), super::super::Class::Safe)]);
        for version in [&found, &declared] {
            assert_eq!(obstacle(&wanted, version), None);
        }
        let mut others = found.clone();
        others.extend(entities("[entities.other.fields]\na = { type = \"string\" }"));
        assert_eq!(alongside(&others, &declared).len(), 2);
        assert!(renaming(&found, &item("fresh = { type = \"text\", renamed-from = \"note\" }")).is_some());
        assert_eq!(renaming(&found, &declared), None);
    }
}
