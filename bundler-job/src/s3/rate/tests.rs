use super::*;

#[tokio::test(start_paused = true)]
async fn requests_a_second_are_limited_for_each_source_alone() {
    let rates = Rates::new(NonZeroU32::new(10));
    rates.limit("a");
    rates.limit("b");
    let (clone, begun) = (rates.clone(), Instant::now());
    for _ in 0..25 {
        tokio::join!(rates.pass("a"), clone.pass("b"), rates.pass("destination"));
        rates.pass("a").await;
        rates.limit("a");
    }
    assert_eq!(
        begun.elapsed().as_millis() / 100,
        49,
        "{:?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    let unlimited = Rates::new(None);
    unlimited.limit("a");
    for _ in 0..1000 {
        rates.pass("destination").await;
        unlimited.pass("a").await;
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
