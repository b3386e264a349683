//! The operator in a real cluster, installed by Helm: API server, controllers, kubelet and containerd, with S3 and SQS
//! beside them. One cluster at a time fits on a machine, so this is one test of many scenarios, each in a namespace of its
//! own: the first has the cluster for itself, because it tells how long things take, and so have the last, because they end
//! or change the operator; the others run side by side, a few at a time. `SCENARIO=word,other` runs those with one of the words in their names.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

#[path = "../admission/cases.rs"]
mod admission;
mod asked;
mod dead_letters;
mod denied;
mod examples;
mod identity;
mod lifecycle;
mod limits;
mod queue;
mod refused;
mod retry;
mod scene;
mod scratch;
mod source;
mod survival;
mod team;
mod trouble;
mod upgrade;

use std::collections::HashMap;
use std::panic;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use scene::Scene;
use tokio::task;

/// Scenarios that are played at a time: with more, S3 and SQS, which answer some 100 requests a second, are what is tested.
const AT_ONCE: usize = 8;

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
    // Those that take long first.
    let others = scenarios![
        survival::a_run_survives_the_killing_of_its_pods,
        retry::objects_that_fail_for_the_time_being_are_tried_again,
        dead_letters::dead_lettered_groups_are_told_and_put_back_when_asked,
        refused::what_the_api_server_takes_and_refuses,
        lifecycle::a_run_is_deleted_at_any_moment,
        refused::the_clusters_own_roles_may_what_they_should,
        refused::a_namespace_without_a_policy_of_its_own_is_told,
        examples::examples_are_what_others_understand,
        refused::a_deployment_of_somebody_else_is_told_and_left_alone,
        lifecycle::a_suspended_run_rests_and_goes_on_without_the_messages_that_it_had,
        lifecycle::a_run_takes_what_its_spec_says_and_writes_it_so,
        lifecycle::a_run_that_is_deleted_leaves_its_archives_and_nothing_else,
        lifecycle::the_same_run_made_again_is_resumed_and_another_is_refused,
        lifecycle::a_finished_run_is_deleted_after_its_time,
        queue::a_queue_that_somebody_deletes_is_made_again_and_its_messages_are_sent_again,
        source::the_newest_inventory_is_chosen_once_and_kept_however_old_it_becomes,
        source::group_manifests_of_the_original_are_a_source,
        queue::a_queue_that_was_there_is_used_and_stays,
        queue::events_of_s3_bring_the_groups,
        queue::whoever_else_scales_is_let_to_until_the_end,
        queue::keda_is_told_what_to_do,
        identity::pods_without_keys_archive_with_the_role_of_their_service_account,
        trouble::an_inventory_that_is_not_there_yet_is_waited_for,
        trouble::a_service_account_that_is_missing_is_named,
        trouble::an_image_that_cannot_be_pulled_stalls_the_run,
        trouble::pods_that_fit_nowhere_are_told,
        trouble::objects_that_are_gone_are_counted_by_reason,
        trouble::a_destination_that_is_not_there_is_named,
        dead_letters::a_run_whose_groups_stay_dead_letters_fails_and_keeps_its_queues,
        denied::a_source_that_is_denied_to_the_workers_is_named,
        denied::an_inventory_that_is_denied_to_the_grouper_is_named,
        denied::a_destination_that_is_denied_is_named_whoever_meets_it,
        denied::queues_that_cannot_be_deleted_are_left_behind_when_asked,
        limits::pods_that_a_quota_forbids_are_told,
        limits::a_grouper_that_a_quota_forbids_is_told,
        limits::a_run_past_its_deadline_fails_and_time_at_rest_does_not_count,
        scratch::a_volume_for_the_life_of_a_worker_is_scratch,
        scratch::a_directory_of_the_node_is_scratch_where_the_policy_says_so,
    ];
    // After all others, and one after another: they end or change the operator that all share.
    let last = scenarios![
        survival::runs_in_every_phase_outlive_the_operators_that_work_on_them,
        upgrade::a_run_of_a_later_version_stops_nobody_and_goes_when_asked,
        upgrade::an_upgrade_changes_what_begins_after_it_and_a_strict_one_holds,
        upgrade::a_release_that_is_uninstalled_leaves_runs_that_the_next_one_lets_go,
    ];
    let words = LastWords::listen();
    let mut failed = Vec::new();
    let alone = last.iter().map(std::slice::from_ref);
    let stages: Vec<_> = [&first[..], &others].into_iter().chain(alone).collect();
    let known = stages.iter().flat_map(|scenarios| scenarios.iter());
    assert!(known.filter(|(name, _)| is_wanted(name)).count() > 0, "no scenario has one of these words in its name");
    for scenarios in stages {
        failed.extend(play(&scene, scenarios, &words).await);
    }
    if !failed.is_empty() {
        println!("{}", scene.story().await);
    }
    Arc::into_inner(scene).unwrap().cluster.stop().await.unwrap();
    // Last, where whoever keeps only the end of a log sees it.
    assert!(failed.is_empty(), "{} scenarios failed\n{}", failed.len(), failed.join("\n"));
}

fn is_wanted(name: &str) -> bool {
    let only = std::env::var("SCENARIO").unwrap_or_default();
    only.split(',').any(|word| name.contains(word))
}

/// Plays scenarios, some of them side by side; gives the names of those that failed, and why.
async fn play(scene: &Arc<Scene>, scenarios: &[(&'static str, Scenario)], words: &LastWords) -> Vec<String> {
    let wanted = scenarios.iter().filter(|(name, _)| is_wanted(name));
    let playing = wanted.map(|(name, scenario)| async move {
        let begun = Instant::now();
        let ended = tokio::spawn(scenario(Arc::clone(scene))).await;
        let took = begun.elapsed().as_secs_f64();
        let Err(error) = ended else {
            println!("scenario {name}: ok ({took:.1} s)");
            return None;
        };
        let why = words.of(error.id()).unwrap_or_else(|| error.to_string());
        println!("scenario {name}: FAILED ({took:.1} s): {why}");
        // Where, and the first line of what.
        let why: Vec<_> = why.lines().take(2).collect();
        Some(format!("{name}: {}", why.join(" ")))
    });
    stream::iter(playing).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
}

/// What panics said, with the place, by the tasks that they ended.
#[derive(Clone, Default)]
struct LastWords(Arc<Mutex<HashMap<task::Id, String>>>);

impl LastWords {
    /// Hears all panics from now on. No backtraces are printed: the place says it all.
    fn listen() -> Self {
        let words = Self::default();
        let heard = words.clone();
        panic::set_hook(Box::new(move |panic| match task::try_id() {
            Some(task) => drop(heard.0.lock().unwrap().insert(task, panic.to_string())),
            None => eprintln!("{panic}"),
        }));
        words
    }

    fn of(&self, task: task::Id) -> Option<String> {
        self.0.lock().unwrap().remove(&task)
    }
}
