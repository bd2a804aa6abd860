//! Tables of declared entities.

use std::sync::Arc;

use erp_plugin_model::{EntityRef, EntitySchema, Field, FieldType, Labels, OnDelete, Value};
use erp_plugin_storage::{Entity, ErrorKind, Mode, PlatformScope, Storage};

use crate::fixture::{
    ALPHA, declare, given, indexed, insert, installation, money, optional, options, required, schema, scope,
    seen, text, trial, unique,
};

async fn create(storage: &Arc<dyn Storage>, schema: &EntitySchema) -> bool {
    let mut platform = installation(storage).await;
    let same = platform.create_entity(schema).await.unwrap();
    platform.commit().await.unwrap();
    same
}

pub async fn making_an_entity_again_changes_nothing(storage: Arc<dyn Storage>) {
    let fields = || vec![required("code", FieldType::String), optional("price", money())];
    let entity = declare(&storage, "suite.item", fields()).await;
    let id = given(&storage, ALPHA, &entity, [vec![text("a"), Value::Decimal(1)]]).await[0];
    assert!(create(&storage, &schema("suite.item", fields())).await);
    assert!(seen(&storage, ALPHA, &entity, id).await.is_some());
}

pub async fn an_entity_made_from_another_schema_is_left_alone(storage: Arc<dyn Storage>) {
    let code = || required("code", FieldType::String);
    let entity = declare(&storage, "suite.item", vec![code(), optional("price", money())]).await;
    let id = given(&storage, ALPHA, &entity, [vec![text("a"), Value::Decimal(1)]]).await[0];
    let finer = FieldType::Decimal { precision: 18, scale: 3 };
    let searchable = Field { searchable: true, ..code() };
    let others: [Vec<Field>; 8] = [
        vec![code()],
        vec![code(), optional("price", money()), optional("more", FieldType::Text)],
        vec![code(), optional("price", FieldType::Integer)],
        vec![code(), optional("price", finer)],
        vec![code(), indexed("price", money())],
        vec![code(), required("price", money())],
        vec![unique("code", FieldType::String), optional("price", money())],
        vec![searchable, optional("price", money())],
    ];
    for other in others {
        assert!(!create(&storage, &schema("suite.item", other.clone())).await, "{other:?}");
    }
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, [text("a"), Value::Decimal(1)]);
}

pub async fn what_no_table_depends_on_may_change(storage: Arc<dyn Storage>) {
    let state = |options: &[&str]| {
        optional("state", FieldType::Enum { options: options.iter().map(ToString::to_string).collect() })
    };
    let price = |precision| optional("price", FieldType::Decimal { precision, scale: 2 });
    let parent = |on_delete| {
        let target = EntityRef::parse("suite.item").unwrap();
        optional("parent", FieldType::Reference { target, on_delete })
    };
    let before = schema("suite.item", vec![state(&["open"]), price(12), parent(OnDelete::Restrict)]);
    assert!(create(&storage, &before).await);
    let described = EntitySchema::declared(
        before.name.clone(),
        Labels::default(),
        Some(crate::fixture::field_name("state")),
        vec![
            // A reference has an index in any case.
            Field { indexed: true, ..parent(OnDelete::Cascade) },
            Field { default: Value::Decimal(1), min: Some(Value::Decimal(0)), ..price(18) },
            state(&["open", "closed"]),
        ],
    );
    assert!(create(&storage, &described).await);
    // The values go to their own columns, though the fields stand in another order.
    let entity = Entity::new(described);
    let row = vec![Value::Null, Value::Decimal(7), text("closed")];
    let id = given(&storage, ALPHA, &entity, [row.clone()]).await[0];
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, row);
    let found = seen(&storage, ALPHA, &Entity::new(before), id).await.unwrap();
    assert_eq!(found.values, [text("closed"), Value::Decimal(7), Value::Null]);
}

pub async fn a_trial_leaves_nothing(storage: Arc<dyn Storage>) {
    let tried = schema("suite.item", vec![required("code", FieldType::String)]);
    let mut transaction = trial(&storage, ALPHA).await;
    assert!(transaction.declare(&tried).await.unwrap());
    assert!(transaction.declare(&tried).await.unwrap());
    let other = schema("suite.item", vec![required("code", FieldType::Integer)]);
    assert!(!transaction.declare(&other).await.unwrap());
    insert(&mut *transaction, &Entity::new(tried), &[text("a")]).await;
    transaction.rollback(None).await.unwrap();
    assert!(create(&storage, &other).await, "the name is free");
}

pub async fn entities_of_one_name_in_two_plugins_are_two(storage: Arc<dyn Storage>) {
    let fields = || vec![unique("code", FieldType::String)];
    let one = declare(&storage, "sales.item", fields()).await;
    let two = declare(&storage, "sales-2.item", fields()).await;
    let id = given(&storage, ALPHA, &one, [vec![text("a")]]).await[0];
    given(&storage, ALPHA, &two, [vec![text("a")]]).await;
    assert_eq!(seen(&storage, ALPHA, &two, id).await, None);
}

pub async fn tables_are_made_in_a_transaction_that_was_begun_to_make_them(storage: Arc<dyn Storage>) {
    let item = schema("suite.item", vec![required("code", FieldType::String)]);
    for mode in [Mode::Read, Mode::Write] {
        let mut platform =
            storage.begin_platform(PlatformScope::granted_by_host(), options(mode)).await.unwrap();
        assert_eq!(platform.create_entity(&item).await.unwrap_err().kind, ErrorKind::Bug, "{mode:?}");
        drop(platform);
        let mut transaction = storage.begin(&scope(ALPHA), options(mode)).await.unwrap();
        assert_eq!(transaction.declare(&item).await.unwrap_err().kind, ErrorKind::Bug, "{mode:?}");
    }
    // Such a transaction reads and writes as any other.
    let entity = Entity::new(item);
    let mut transaction = trial(&storage, ALPHA).await;
    assert!(transaction.declare(entity.schema()).await.unwrap());
    insert(&mut *transaction, &entity, &[text("a")]).await;
    drop(transaction);
    let entity = declare(&storage, "suite.item", vec![required("code", FieldType::String)]).await;
    let mut transaction = trial(&storage, ALPHA).await;
    let id = insert(&mut *transaction, &entity, &[text("a")]).await;
    transaction.commit(None).await.unwrap();
    assert!(seen(&storage, ALPHA, &entity, id).await.is_some());
}
