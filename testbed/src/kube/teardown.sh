# Ends a node and removes what it leaves, as soon as the input ends, which is when its owner asks or is gone.
# Arguments: the process that holds the namespaces, the cluster's folder, the name of its control group.
holder=$1 folder=$2 group=$3

while read -r _; do :; done

# Being in the holder's process group, this shell keeps its number from being anybody else's. Process 1 of the node is
# its only child; when the holder has taken leave of it, nothing of the node runs any more.
for init in $(cat "/proc/$holder/task/$holder/children"); do
	kill -KILL "$init"
	while [ -e "/proc/$init" ]; do sleep 0.02; done
	# The kernel ends a network behind everybody's back, so that its addresses are still taken when the next node begins.
	ip link delete "tb$init"
	while [ -e "/sys/class/net/tb$init" ]; do sleep 0.02; done
done

groups() { find /sys/fs/cgroup -maxdepth 2 -type d -name "$group"; }
# A control group can be busy for a moment after its last process.
for _ in $(seq 100); do
	[ -n "$(groups)" ] || break
	for top in $(groups); do find "$top" -depth -type d -exec rmdir {} \;; done
	[ -z "$(groups)" ] || sleep 0.05
done

rm -rf --one-file-system -- "$folder"
