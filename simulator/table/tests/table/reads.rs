//! Reads, page by page, and TTL.

use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemInput;
use aws_sdk_dynamodb::operation::get_item::GetItemInput;
use aws_sdk_dynamodb::operation::query::QueryInput;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use simulator_table::{Item, PageSize, Table};

use super::words::{NAME, REFUSED, code, item, key, number, put, query, text};

fn slots(count: usize) -> Table {
    let mut table = Table::new(NAME);
    for index in (0..count).rev() {
        table.put(&put(key("pool", &format!("slot#{index:04}"))).build().unwrap()).unwrap();
    }
    for (pk, sk) in [("pool", "pool"), ("pool", "wait#1"), ("other", "slot#0001")] {
        table.put(&put(key(pk, sk)).build().unwrap()).unwrap();
    }
    table
}

fn sort_keys(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item["sk"].as_s().unwrap().as_str()).collect()
}

/// The sort keys of each page, as whoever follows `last_evaluated_key` sees them.
fn pages(table: &Table, mut input: QueryInput) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        let page = table.query(&input).unwrap();
        assert_eq!(usize::try_from(page.count).unwrap(), page.items().len());
        pages.push(sort_keys(page.items()).into_iter().map(str::to_owned).collect());
        input.exclusive_start_key = page.last_evaluated_key;
        if input.exclusive_start_key.is_none() {
            return pages;
        }
        assert!(pages.len() < 100, "it does not end");
    }
}

#[test]
fn a_range_is_read_in_order() {
    let table = slots(3);
    let (a, b, c) = ("slot#0000", "slot#0001", "slot#0002");
    let pk = (":pk", text("pool"));
    for (range, values, found) in [
        ("", vec![], vec!["pool", a, b, c, "wait#1"]),
        (" AND sk = :a", vec![(":a", text(b))], vec![b]),
        (" AND sk < :a", vec![(":a", text(b))], vec!["pool", a]),
        (" AND sk <= :a", vec![(":a", text(b))], vec!["pool", a, b]),
        (" AND sk > :a", vec![(":a", text(b))], vec![c, "wait#1"]),
        (" AND sk >= :a", vec![(":a", text(b))], vec![b, c, "wait#1"]),
        (" AND :a > sk", vec![(":a", text(b))], vec!["pool", a]),
        (" AND begins_with(sk, :a)", vec![(":a", text("slot#"))], vec![a, b, c]),
        (" AND sk BETWEEN :a AND :b", vec![(":a", text("slot#0001")), (":b", text("slot#~"))], vec![b, c]),
    ] {
        let values: Vec<_> = values.into_iter().chain([pk.clone()]).collect();
        let input = query(&format!("pk = :pk{range}"), &values);
        let answer = table.query(&input.clone().build().unwrap()).unwrap();
        assert_eq!(sort_keys(answer.items()), found, "{range}");
        assert_eq!(answer.last_evaluated_key, None);
        let answer = table.query(&input.scan_index_forward(false).build().unwrap()).unwrap();
        assert_eq!(sort_keys(answer.items()), found.into_iter().rev().collect::<Vec<_>>(), "{range}");
    }
    let other_way = query("sk = :a AND pk = :pk", &[(":a", text(a)), pk]);
    assert_eq!(table.query(&other_way.build().unwrap()).unwrap().count, 1);
    let nothing = query("pk = :pk", &[(":pk", text("none"))]).build().unwrap();
    assert_eq!(table.query(&nothing).unwrap().items, Some(vec![]));
}

#[test]
fn pages_together_are_the_whole_range() {
    let table = slots(5);
    let input = || query("pk = :pk AND begins_with(sk, :s)", &[(":pk", text("pool")), (":s", text("slot#"))]);
    let whole = pages(&table, input().build().unwrap());
    assert_eq!((whole.len(), whole[0].len()), (1, 5));
    for forward in [true, false] {
        for limit in 1..=6 {
            for page in [PageSize::Service, PageSize::Items(2), PageSize::Bytes(1), PageSize::Bytes(40)] {
                let table = table.clone().with_page_size(page);
                let input = input().limit(limit).scan_index_forward(forward).build().unwrap();
                let mut found: Vec<_> = pages(&table, input).concat();
                if !forward {
                    found.reverse();
                }
                assert_eq!(found, whole[0], "{limit} {page:?}");
            }
        }
    }
    // At the limit the service does not look for more.
    assert_eq!(pages(&table, input().limit(5).build().unwrap()).len(), 2);
    let table = table.with_page_size(PageSize::Items(2));
    let sizes: Vec<_> = pages(&table, input().build().unwrap()).iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 2, 1]);
}

#[test]
fn queries_that_mean_nothing_are_refused() {
    let table = slots(1);
    let (pk, a) = ((":pk", text("pool")), (":a", text("b")));
    for (condition, values) in [
        ("sk = :a", vec![a.clone()]),
        ("pk > :pk", vec![pk.clone()]),
        ("begins_with(pk, :pk)", vec![pk.clone()]),
        ("pk = :pk OR sk = :a", vec![pk.clone(), a.clone()]),
        ("NOT pk = :pk", vec![pk.clone()]),
        ("pk = :pk AND sk <> :a", vec![pk.clone(), a.clone()]),
        ("pk = :pk AND job = :a", vec![pk.clone(), a.clone()]),
        ("pk = :pk AND sk IN (:a)", vec![pk.clone(), a.clone()]),
        ("pk = :pk AND sk > :a AND sk < :a", vec![pk.clone(), a.clone()]),
        ("pk = :pk AND pk = :a", vec![pk.clone(), a.clone()]),
        ("pk = :pk AND contains(sk, :a)", vec![pk.clone(), a.clone()]),
        ("pk = :pk AND sk = :a", vec![pk.clone(), (":a", number(1))]),
        ("pk = :pk AND sk = :a", vec![pk.clone(), (":a", text(""))]),
        ("pk = :pk AND sk BETWEEN :a AND :b", vec![pk.clone(), a.clone(), (":b", text("a"))]),
        ("pk = :pk", vec![pk.clone(), a]),
        ("", vec![pk.clone()]),
    ] {
        let error = table.query(&query(condition, &values).build().unwrap()).unwrap_err();
        assert_eq!(code(&error), REFUSED, "{condition}");
    }
    let ranged = query("pk = :pk AND sk > :a", &[pk.clone(), (":a", text("slot#"))]);
    for start in
        [key("other", "slot#0001"), key("pool", "pool"), key("pool", ""), item(&[("pk", text("pool"))])]
    {
        let input = ranged.clone().set_exclusive_start_key(Some(start.clone())).build().unwrap();
        assert_eq!(code(&table.query(&input).unwrap_err()), REFUSED, "{start:?}");
    }
    let none = ranged.clone().limit(0).build().unwrap();
    assert_eq!(code(&table.query(&none).unwrap_err()), REFUSED);
    for unknown in [ranged.clone().filter_expression("sk = :a"), ranged.clone().index_name("i")] {
        assert_eq!(code(&table.query(&unknown.build().unwrap()).unwrap_err()), REFUSED);
    }
    let elsewhere = ranged.table_name("another").build().unwrap();
    assert_eq!(code(&table.query(&elsewhere).unwrap_err()), "ResourceNotFoundException");
}

fn batch(keys: Vec<Item>) -> BatchGetItemInput {
    let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().unwrap();
    BatchGetItemInput::builder().request_items(NAME, keys).build().unwrap()
}

#[test]
fn a_batch_leaves_what_does_not_fit() {
    let table = slots(3).with_page_size(PageSize::Items(2));
    let keys: Vec<_> = (0..4).map(|index| key("pool", &format!("slot#{index:04}"))).collect();
    let answer = table.batch_get(&batch(keys.clone())).unwrap();
    assert_eq!(answer.responses.unwrap()[NAME], keys[..2]);
    let left = answer.unprocessed_keys.unwrap().remove(NAME).unwrap();
    assert_eq!((&left.keys[..], left.consistent_read), (&keys[2..], Some(true)));
    let answer = table.batch_get(&batch(left.keys)).unwrap();
    assert_eq!(answer.responses.unwrap()[NAME], keys[2..3], "one that is not there is left out");
    assert_eq!(answer.unprocessed_keys.unwrap().len(), 0);
}

#[test]
fn a_batch_has_its_bounds() {
    let table = slots(1);
    let many = (0..101).map(|index| key("pool", &format!("slot#{index:04}"))).collect();
    for keys in
        [many, vec![key("a", "b"), key("a", "b")], vec![item(&[("pk", text("a"))])], vec![key("", "b")]]
    {
        assert_eq!(code(&table.batch_get(&batch(keys)).unwrap_err()), REFUSED);
    }
    let error = Table::new("another").batch_get(&batch(vec![key("a", "b")])).unwrap_err();
    assert_eq!(code(&error), "ResourceNotFoundException");
}

#[test]
fn an_item_is_read_by_its_key() {
    let table = slots(1);
    let get = |key: Item| GetItemInput::builder().table_name(NAME).set_key(Some(key)).build().unwrap();
    let wanted = key("pool", "slot#0000");
    assert_eq!(table.get(&get(wanted.clone())).unwrap().item, Some(wanted));
    assert_eq!(table.get(&get(key("pool", "none"))).unwrap().item, None);
    assert_eq!(code(&table.get(&get(key("pool", ""))).unwrap_err()), REFUSED);
    assert_eq!(code(&table.get(&get(item(&[("pk", text("pool"))]))).unwrap_err()), REFUSED);
}

#[test]
fn items_are_shown_in_the_order_of_their_keys() {
    let table = slots(2);
    let keys: Vec<_> =
        table.items().map(|item| (item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap())).collect();
    assert!(keys.is_sorted());
    assert_eq!((keys.len(), table.len()), (5, 5));
}

#[test]
fn ttl_takes_what_expired_and_nothing_else() {
    const NOW: i64 = 1_772_366_400;
    let mut table = Table::new(NAME);
    let five_years = 5 * 365 * 24 * 3600;
    for (sk, at) in [
        ("over", number(NOW - 1)),
        ("now", number(NOW)),
        ("later", number(NOW + 1)),
        ("ancient", number(NOW - five_years - 1)),
        ("text", text("1")),
    ] {
        let mut item = key("job", sk);
        item.insert("expires_at".to_owned(), at);
        table.put(&put(item).build().unwrap()).unwrap();
    }
    table.put(&put(key("job", "without")).build().unwrap()).unwrap();
    assert_eq!(table.expire(NOW), 1);
    assert_eq!(table.get_item("job", "over"), None);
    assert_eq!((table.expire(NOW), table.expire(NOW + 2), table.len()), (0, 2, 3));
}
