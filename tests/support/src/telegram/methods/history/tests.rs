use super::*;

/// Ids 10, 20 … 100, sent at ten times their id.
fn page(window: Window) -> (Vec<i32>, i32) {
    let ids: Vec<i32> = (1..=10).map(|n| n * 10).collect();
    let page = window.page(&ids, |id| id * 10);
    (page.ids, page.newer)
}

fn window(offset_id: i32, add_offset: i32, limit: i32) -> Window {
    Window { offset_id, add_offset, limit, ..Window::default() }
}

#[test]
fn pages_go_from_the_newest_down() {
    assert_eq!(page(window(0, 0, 3)), (vec![100, 90, 80], 0));
    // The offset is exclusive, and need not exist.
    assert_eq!(page(window(80, 0, 3)), (vec![70, 60, 50], 3));
    assert_eq!(page(window(75, 0, 3)), (vec![70, 60, 50], 3));
    assert_eq!(page(window(10, 0, 3)), (vec![], 10));
    assert_eq!(page(window(1000, 0, 2)), (vec![100, 90], 0));
}

#[test]
fn add_offset_shifts_the_window() {
    assert_eq!(page(window(80, 2, 3)), (vec![50, 40, 30], 5));
    assert_eq!(page(window(80, -2, 3)), (vec![90, 80, 70], 1));
    // Cut at the newest end: fewer than the limit come.
    assert_eq!(page(window(90, -4, 4)), (vec![100, 90], 0));
    assert_eq!(page(window(0, -3, 3)), (vec![], 0));
}

#[test]
fn upwards_as_exports_read() {
    // offset_id = largest so far + 1, add_offset = -limit: the next newer ones.
    assert_eq!(page(window(1, -3, 3)), (vec![30, 20, 10], 7));
    assert_eq!(page(window(31, -3, 3)), (vec![60, 50, 40], 4));
    assert_eq!(page(window(91, -3, 3)), (vec![100], 0));
    assert_eq!(page(window(101, -3, 3)), (vec![], 0));
}

#[test]
fn dates_and_bounds_are_exclusive() {
    assert_eq!(page(Window { offset_date: 800, ..window(0, 0, 3) }), (vec![70, 60, 50], 3));
    assert_eq!(page(Window { offset_date: 801, ..window(0, 0, 3) }), (vec![80, 70, 60], 2));
    // Bounds are looked at after the page is cut out.
    assert_eq!(page(Window { max_id: 90, ..window(0, 0, 3) }), (vec![80], 0));
    assert_eq!(page(Window { max_id: 50, ..window(0, 0, 3) }), (vec![], 0));
    assert_eq!(page(Window { max_id: 50, ..window(0, 0, 9) }), (vec![40, 30, 20], 0));
    assert_eq!(page(Window { min_id: 80, ..window(0, 0, 9) }), (vec![100, 90], 0));
    assert_eq!(page(Window { min_id: 20, max_id: 50, ..window(50, -1, 3) }), (vec![40, 30], 5));
}

#[test]
fn limits_are_bounded() {
    let ids: Vec<i32> = (1..=500).collect();
    let len = |limit| Window { limit, ..Window::default() }.page(&ids, |id| id).ids.len();
    assert_eq!([len(0), len(-5), len(100), len(1000)], [0, 0, 100, 100]);
}
