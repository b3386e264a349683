use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_body_below_a_kibibyte_a_second_is_too_slow_and_one_above_is_not() {
    for (bytes, slow) in [(1, true), (1023, true), (1024, false), (1 << 20, false)] {
        let mut rate = MinRate::default();
        for _ in 0..30 {
            assert_eq!(rate.too_slow(), None);
            rate.came(bytes);
            rate.waited(SECOND);
        }
        assert_eq!(rate.too_slow().is_some(), slow, "{bytes} B/s");
        assert_eq!(rate.patience(), WINDOW, "a new window begins");
    }
}

#[test]
fn a_silent_body_is_waited_for_no_longer_than_a_window() {
    let mut rate = MinRate::default();
    rate.came(10 << 20);
    rate.waited(SECOND * 10);
    assert_eq!(rate.patience(), SECOND * 20);
    rate.waited(SECOND * 20);
    assert_eq!(rate.too_slow(), None, "fast before it fell silent");
    rate.waited(WINDOW);
    assert_eq!(rate.too_slow(), Some(0));
}

#[test]
fn only_reading_counts() {
    let mut rate = MinRate::default();
    // However long the reader does something else.
    for _ in 0..1000 {
        rate.came(1);
        rate.waited(Duration::from_millis(1));
    }
    assert_eq!(rate.too_slow(), None);
}
