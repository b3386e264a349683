# Process 1 of a node, in network, process and mount namespaces of its own: sets them up, then reaps orphans to the end.
# Arguments: the cluster's folder, the node's address, the address of the API's service, the bridge's name.
set -eu
folder=$1 node=$2 service=$3 bridge=$4

# As on any machine of a cluster: what kubelet mounts is seen by containers that ask for it. Not beyond this namespace.
mount --make-rshared /

# Programs of a node write into the machine's folders whatever they are told (sockets of shims, results of CNI, logs of
# pods). Here such files land in the cluster's folder.
for path in /run /var/lib /var/log; do
	case $folder/ in $path/*) continue ;; esac
	shadow=$folder/shadow$path
	mkdir -p "$shadow/upper" "$shadow/work"
	mount -t overlay -o "lowerdir=$path,upperdir=$shadow/upper,workdir=$shadow/work" shadow "$path"
done

# Kubelet insists on these settings of the kernel, which are the whole machine's. It finds them as it wants them and
# changes nothing.
mkdir "$folder/sysctl"
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
	kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
	path=${setting%=*}
	file=$folder/sysctl/$(basename "$path")
	echo "${setting#*=}" >"$file"
	mount --bind "$file" "/proc/sys/$path"
done

ip link set lo up
# An address of its own: a bridge without one takes the lowest of its ports', so that it would move whenever a pod comes or
# goes, and whoever knew the old one would talk to nobody for half a minute.
ip link add "$bridge" address 02:00:0a:58:00:01 type bridge
ip addr add "$node/16" dev "$bridge"
ip addr add "$service/32" dev "$bridge"
ip link set "$bridge" up
echo 1 >/proc/sys/net/ipv4/ip_forward

: >"$folder/node-is-ready"
# In `wait` the shell takes leave of every child, also of those that it never had: shims whose parents ended.
while :; do
	sleep 3600 &
	wait $!
done
