//! The operator in a real cluster, installed by Helm: API server, controllers, kubelet and containerd, with S3 and SQS
//! beside them. One cluster at a time fits on a machine, so this is one test of many scenarios, each in a namespace of its
//! own: the first has the cluster for itself, because it tells how long things take; the others run side by side.
//! `SCENARIO=word` runs those with the word in their names.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

#[path = "../admission/cases.rs"]
mod admission;
mod examples;
mod lifecycle;
mod queue;
mod refused;
mod scene;
mod source;
mod survival;
mod trouble;

use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use scene::Scene;

type Scenario = fn(Arc<Scene>) -> BoxFuture<'static, ()>;

/// What is proved, in the words of the functions' names.
macro_rules! scenarios {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        [$((stringify!($name), (|scene| async move { $module::$name(&scene).await }.boxed()) as Scenario)),+]
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_in_a_cluster() {
    let scene = Arc::new(Scene::start().await);
    let first = scenarios![lifecycle::a_run_goes_all_the_way];
    let others = scenarios![
        refused::what_the_api_server_takes_and_refuses,
        examples::examples_are_what_others_understand,
        lifecycle::a_suspended_run_rests_and_goes_on,
        lifecycle::a_run_that_is_deleted_leaves_its_archives_and_nothing_else,
        lifecycle::the_same_run_made_again_is_resumed_and_another_is_refused,
        lifecycle::a_finished_run_is_deleted_after_its_time,
        source::group_manifests_of_the_original_are_a_source,
        queue::a_queue_that_was_there_is_used_and_stays,
        queue::events_of_s3_bring_the_groups,
        queue::whoever_else_scales_is_let_to_until_the_end,
        queue::keda_is_told_what_to_do,
        survival::a_run_survives_the_killing_of_its_pods,
        survival::one_operator_of_two_works_and_the_other_takes_over,
        trouble::an_inventory_that_is_not_there_yet_is_waited_for,
        trouble::a_service_account_that_is_missing_is_named,
        trouble::an_image_that_cannot_be_pulled_stalls_the_run,
        trouble::pods_that_fit_nowhere_are_told,
        trouble::objects_that_are_gone_are_counted_by_reason,
    ];
    let mut failed = play(&scene, &first).await;
    failed.extend(play(&scene, &others).await);
    if !failed.is_empty() {
        println!("{}", scene.story().await);
    }
    Arc::into_inner(scene).unwrap().cluster.stop().await.unwrap();
    assert!(failed.is_empty(), "{failed:?}");
}

/// Plays scenarios side by side; gives the names of those that failed.
async fn play(scene: &Arc<Scene>, scenarios: &[(&'static str, Scenario)]) -> Vec<&'static str> {
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let wanted = scenarios.iter().filter(|(name, _)| name.contains(&only));
    let playing = wanted.map(|(name, scenario)| async move {
        let begun = Instant::now();
        let ended = tokio::spawn(scenario(Arc::clone(scene))).await;
        let told = if ended.is_ok() { "ok" } else { "FAILED" };
        println!("scenario {name}: {told} ({:.1} s)", begun.elapsed().as_secs_f64());
        ended.err().map(|_| *name)
    });
    futures_util::future::join_all(playing).await.into_iter().flatten().collect()
}
