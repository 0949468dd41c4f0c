// SPDX-License-Identifier: GPL-3.0-or-later

package embedded

// behaviour is something of Kubernetes that users build on. The script runs in a namespace of its own with the functions
// of prelude, and fails if the cluster behaves otherwise.
type behaviour struct{ area, name, script string }

// prelude are the functions of the scripts. $PROBE and $SHELL_IMAGE are images that every node has, $NS is the namespace.
const prelude = `
set -euo pipefail
k() { kubectl -n "$NS" "$@"; }
apply() { k apply -f - >/dev/null; }
fail() { echo "$*" >&2; exit 1; }
# is COMMAND WANTED: the command prints this, within a minute.
is() {
    local got= end=$((SECONDS + 60))
    while [ $SECONDS -lt $end ]; do
        got=$(eval "$1" 2>&1 || true)
        if [ "$got" = "$2" ]; then return 0; fi
        sleep 0.5
    done
    fail "$1: got '$got', want '$2'"
}
# has TEXT COMMAND...: its output contains the text, within a minute.
has() {
    local text=$1 got= end=$((SECONDS + 60)); shift
    while [ $SECONDS -lt $end ]; do
        got=$("$@" 2>&1 || true)
        case $got in *"$text"*) return 0 ;; esac
        sleep 0.5
    done
    fail "$*: got '$got', want '$text' in it"
}
# refused TEXT COMMAND...: it fails, and says so.
refused() {
    local text=$1 got; shift
    if got=$("$@" 2>&1); then fail "$*: not refused, but '$got'"; fi
    case $got in *"$text"*) ;; *) fail "$*: refused with '$got', want '$text' in it" ;; esac
}
# container NAME IMAGE ARGS [FIELDS], as JSON
container() { echo "{\"name\":\"$1\",\"image\":\"$2\",\"imagePullPolicy\":\"Never\",${4:-}\"args\":$3}"; }
template() { # NAME CONTAINERS [FIELDS]
    echo "{\"metadata\":{\"name\":\"$1\",\"labels\":{\"app\":\"$1\"}},\"spec\":{\"terminationGracePeriodSeconds\":1,${3:-}\"containers\":[$2]}}"
}
pod() { # NAME CONTAINERS [FIELDS]
    template "$1" "$2" "\"restartPolicy\":\"${RESTART:-Never}\",${3:-}" | jq '. + {apiVersion: "v1", kind: "Pod"}' | apply
}
shell() { container c "$SHELL_IMAGE" "$(jq -n --arg script "$1" '["-c", $script]')" "${2:-}"; }
serve() { container c "$PROBE" '["serve"]' "$READY${1:-}"; }
probe() { container c "$PROBE" "$(jq -nc '$ARGS.positional' --args -- "$@")"; }
READY='"env":[{"name":"POD_NAME","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},{"name":"NODE_NAME","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}}],"readinessProbe":{"httpGet":{"path":"/","port":8080},"periodSeconds":1},'
workload() { # KIND NAME FIELDS [CONTAINERS] [POD-FIELDS]
    jq -n --argjson template "$(template "$2" "${4:-$(serve)}" "${5:-}")" --argjson more "{$3}" --arg kind "$1" --arg name "$2" \
        '{apiVersion: "apps/v1", kind: $kind, metadata: {name: $name}, spec: ({selector: {matchLabels: {app: $name}}, template: $template} + $more)}' | apply
}
job() { # NAME FIELDS CONTAINERS
    jq -n --argjson template "$(template "$1" "$3" '"restartPolicy":"Never",')" --argjson more "{$2}" --arg name "$1" \
        '{apiVersion: "batch/v1", kind: "Job", metadata: {name: $name}, spec: ({template: $template} + $more)}' | apply
}
phase() { k get pod "$1" -o 'jsonpath={.status.phase}'; }
succeeds() { is "phase $1" Succeeded; }
ready() { k rollout status "$1" --timeout 90s >/dev/null; }
# claim NAME: a volume of the default class.
claim() { echo "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: $1}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 8Mi}}}}" | apply; }
config() { k create configmap "$@" >/dev/null; }
`

var behaviours = []behaviour{
	{"pods", "a pod runs, and its log is read", `pod p "$(shell 'echo hello')"; succeeds p; is "k logs p" hello`},
	{"pods", "an exit code is in the pod's status", `pod p "$(shell 'exit 3')"; is "phase p" Failed; is "k get pod p -o jsonpath={.status.containerStatuses[0].state.terminated.exitCode}" 3`},
	{"pods", "a container that ends is started again", `RESTART=Always; pod p "$(shell 'exit 0')"; has 1 k get pod p -o 'jsonpath={.status.containerStatuses[0].restartCount}'`},
	{"pods", "the log before a restart is read", `RESTART=OnFailure; pod p "$(shell 'echo before; exit 1')"; has 1 k get pod p -o 'jsonpath={.status.containerStatuses[0].restartCount}'; has before k logs p --previous`},
	{"pods", "init containers run before, in order", `v='"volumeMounts":[{"name":"v","mountPath":"/v"}],'
pod p "$(shell 'cat /v/f' "$v")" "\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}],\"initContainers\":[$(shell 'echo 1 >>/v/f' "$v" | jq -c '.name="a"'),$(shell 'echo 2 >>/v/f' "$v" | jq -c '.name="b"')],"
succeeds p; is "k logs p -c c" $'1\n2'`},
	{"pods", "a sidecar runs beside, and ends after", `pod p "$(probe get http://127.0.0.1:8080/)" "\"initContainers\":[$(container side "$PROBE" '["serve"]' "$READY" | jq -c '.restartPolicy="Always"')],"; succeeds p`},
	{"pods", "containers of a pod share a volume", `v='"volumeMounts":[{"name":"v","mountPath":"/v"}],'
pod p "$(shell 'echo shared >/v/f' "$v"),$(shell 'while ! test -s /v/f; do :; done; cat /v/f' "$v" | jq -c '.name="b"')" '"volumes":[{"name":"v","emptyDir":{"medium":"Memory"}}],'; succeeds p; is "k logs p -c b" shared`},
	{"pods", "fields of the pod are variables", `pod p "$(shell 'echo $A' '"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"metadata.namespace"}}}],')"; succeeds p; is "k logs p" "$NS"`},
	{"pods", "a deadline ends a pod", `pod p "$(serve)" '"activeDeadlineSeconds":2,'; is "k get pod p -o jsonpath={.status.reason}" DeadlineExceeded`},
	{"pods", "exec prints, and returns the exit code", `pod p "$(serve)"; k wait --for=condition=Ready pod/p --timeout 60s >/dev/null; is "k exec p -- /probe read /etc/hostname" p; refused "exit code 1" k exec p -- /probe read /nothing`},
	{"pods", "port-forward reaches a pod", `pod p "$(serve)"; k wait --for=condition=Ready pod/p --timeout 60s >/dev/null
coproc F { exec kubectl -n "$NS" port-forward pod/p :8080; }; trap 'kill $F_PID' EXIT; read -r line <&"${F[0]}"; port=${line#*:}; has "p pi" curl -sS "http://127.0.0.1:${port%% *}/"`},
	{"pods", "attach prints what is written meanwhile", `pod p "$(serve)"; k wait --for=condition=Ready pod/p --timeout 60s >/dev/null; timeout 3 kubectl -n "$NS" attach p >/dev/null 2>&1 || [ $? = 124 ]`},
	{"pods", "an ephemeral container joins a pod", `pod p "$(serve)"; k wait --for=condition=Ready pod/p --timeout 60s >/dev/null; k debug p --image "$PROBE" --image-pull-policy Never -c d -- /probe get http://127.0.0.1:8080/ >/dev/null; has "p pi" k logs p -c d`},
	{"pods", "a service class follows from requests and limits", `pod p "$(shell 'exit 0' '"resources":{"requests":{"cpu":"10m","memory":"16Mi"},"limits":{"cpu":"10m","memory":"16Mi"}},')"; is "k get pod p -o jsonpath={.status.qosClass}" Guaranteed`},
	{"pods", "a container beyond its memory is killed", `pod p "$(shell 'a=aaaaaaaaaaaaaaaa; while :; do a=$a$a; done' '"resources":{"limits":{"memory":"32Mi"}},')"; is "k get pod p -o jsonpath={.status.containerStatuses[0].state.terminated.exitCode}" 137`},
	{"pods", "a liveness probe restarts a container", `RESTART=Always; pod p "$(container c "$PROBE" '["serve"]' '"livenessProbe":{"exec":{"command":["/probe","read","/nothing"]},"periodSeconds":1,"failureThreshold":1},')"; has 1 k get pod p -o 'jsonpath={.status.containerStatuses[0].restartCount}'`},
	{"pods", "a startup probe holds the others back", `pod p "$(container c "$PROBE" '["serve"]' '"startupProbe":{"exec":{"command":["/probe","read","/tmp/up"]},"periodSeconds":1,"failureThreshold":60},"volumeMounts":[{"name":"v","mountPath":"/tmp"}],')" '"volumes":[{"name":"v","emptyDir":{}}],'
is "phase p" Running; is "k get pod p -o jsonpath={.status.containerStatuses[0].started}" false; k exec p -- /probe write /tmp/up yes; is "k get pod p -o jsonpath={.status.containerStatuses[0].started}" true`},
	{"pods", "a hook runs after the start", `pod p "$(container c "$PROBE" '["serve"]' '"lifecycle":{"postStart":{"exec":{"command":["/probe","write","/tmp/hook","ran"]}}},"volumeMounts":[{"name":"v","mountPath":"/tmp"}],')" '"volumes":[{"name":"v","emptyDir":{}}],'; is "phase p" Running; is "k exec p -- /probe read /tmp/hook" ran`},
	{"pods", "a user that is not root, and a root that is read only", `pod p "$(shell 'cat /proc/self/status; mkdir /x' '"securityContext":{"runAsUser":1234,"runAsNonRoot":true,"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":false},')"; is "phase p" Failed; has $'Uid:\t1234' k logs p`},
	{"pods", "a missing image is reported", `pod p "$(container c localhost/nothing:none '[]')"; is "k get pod p -o jsonpath={.status.containerStatuses[0].state.waiting.reason}" ErrImageNeverPull`},

	{"scheduling", "a pod that fits nowhere waits, and an event says why", `pod p "$(serve)" '"nodeSelector":{"no":"such"},'; is "phase p" Pending; has "didn't match Pod's node affinity/selector" k get events`},
	{"scheduling", "a node is selected by its name's label", `pod p "$(serve)" '"nodeSelector":{"kubernetes.io/hostname":"pi3"},'; is "k get pod p -o jsonpath={.spec.nodeName}" pi3`},
	{"scheduling", "pods that repel each other are on different nodes", `workload Deployment d '"replicas":3' "" '"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"app":"d"}}}]}},'
is "k get pods -o jsonpath='{range .items[*]}{.spec.nodeName}{\"\n\"}{end}' | sort -u | grep -c ." 3`},
	{"scheduling", "pods are spread over nodes", `workload Deployment d '"replicas":3' "" '"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"kubernetes.io/hostname","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"d"}}}],'
is "k get pods -o jsonpath='{range .items[*]}{.spec.nodeName}{\"\n\"}{end}' | sort -u | grep -c ." 3`},
	{"scheduling", "a request beyond every node waits", `pod p "$(serve '"resources":{"requests":{"memory":"4Ti"}},')"; has "Insufficient memory" k get events`},
	{"scheduling", "a class of priority is the pod's", `kubectl create priorityclass "$NS" --value 1000 >/dev/null; trap 'kubectl delete priorityclass "$NS" >/dev/null' EXIT; pod p "$(shell 'exit 0')" "\"priorityClassName\":\"$NS\","; is "k get pod p -o jsonpath={.spec.priority}" 1000`},

	{"workloads", "a deployment is rolled out and scaled", `workload Deployment d '"replicas":1'; ready deployment/d; k scale deployment d --replicas 2 >/dev/null; is "k get deployment d -o jsonpath={.status.readyReplicas}" 2`},
	{"workloads", "a deployment is updated and taken back", `workload Deployment d '"replicas":1'; ready deployment/d; k set env deployment/d A=b >/dev/null; ready deployment/d; k rollout undo deployment/d >/dev/null; ready deployment/d; has 3 k rollout history deployment/d; is "k get deployment d -o jsonpath='{.spec.template.spec.containers[0].env[*].name}'" "POD_NAME NODE_NAME"`},
	{"workloads", "an update that does not progress is reported", `workload Deployment d '"replicas":1,"progressDeadlineSeconds":2' "$(serve '"imagePullPolicy":"Never",' | jq -c '.image="localhost/none:none"')"; has ProgressDeadlineExceeded k get deployment d -o 'jsonpath={.status.conditions[*].reason}'`},
	{"workloads", "a selector cannot be changed", `workload Deployment d '"replicas":0'; refused "field is immutable" k patch deployment d --type merge -p '{"spec":{"selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}}}}}'`},
	{"workloads", "a pod that is deleted is replaced", `workload ReplicaSet r '"replicas":1'; is "k get rs r -o jsonpath={.status.readyReplicas}" 1; old=$(k get pod -o name); k delete pod -l app=r --wait=false >/dev/null; is "k get pod -o name | grep -v $old | grep -c pod/" 1`},
	{"workloads", "a stateful set numbers its pods, and each has its volume", `workload StatefulSet s '"replicas":2,"serviceName":"s","volumeClaimTemplates":[{"metadata":{"name":"v"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"8Mi"}}}}]' "$(serve '"volumeMounts":[{"name":"v","mountPath":"/v"}],')"
ready statefulset/s; is "k get pods -o name" $'pod/s-0\npod/s-1'; k exec s-1 -- /probe write /v/f kept; k delete pod s-1 >/dev/null; ready statefulset/s; is "k exec s-1 -- /probe read /v/f" kept; k scale statefulset s --replicas 1 >/dev/null; is "k get pods -o name" pod/s-0; is "k get pvc -o name | grep -c v-s-" 2`},
	{"workloads", "a daemon set runs on every node", `workload DaemonSet d ''; ready daemonset/d; is "k get pods -o jsonpath='{range .items[*]}{.spec.nodeName}{\"\n\"}{end}' | sort" $'pi1\npi2\npi3'`},
	{"workloads", "a job runs to its end", `job j '"completions":3,"parallelism":2' "$(shell 'exit 0')"; is "k get job j -o jsonpath={.status.succeeded}" 3; has Complete k get job j -o 'jsonpath={.status.conditions[*].type}'`},
	{"workloads", "a job fails after its retries", `job j '"backoffLimit":1' "$(shell 'exit 1')"; has BackoffLimitExceeded k get job j -o 'jsonpath={.status.conditions[*].reason}'`},
	{"workloads", "an indexed job numbers its pods", `job j '"completions":2,"parallelism":2,"completionMode":"Indexed"' "$(shell 'echo $JOB_COMPLETION_INDEX')"; is "k get job j -o jsonpath={.status.completedIndexes}" 0,1; is "k logs -l job-name=j | sort" $'0\n1'`},
	{"workloads", "a finished job is removed in time", `job j '"ttlSecondsAfterFinished":1' "$(shell 'exit 0')"; is "k get job -o name" ""`},
	{"workloads", "a cron job's job is started by hand", `k create cronjob c --image "$SHELL_IMAGE" --schedule '0 0 1 1 *' -- /bin/sh -c 'echo ran' >/dev/null; k patch cronjob c --type json -p '[{"op":"add","path":"/spec/jobTemplate/spec/template/spec/containers/0/imagePullPolicy","value":"Never"}]' >/dev/null; k create job j --from cronjob/c >/dev/null; is "k get job j -o jsonpath={.status.succeeded}" 1`},

	{"network", "a service reaches its pods by name", `workload Deployment d '"replicas":2'; k expose deployment d --port 80 --target-port 8080 >/dev/null; ready deployment/d; pod p "$(probe get http://d/)"; succeeds p; has "d-" k logs p`},
	{"network", "a service's name is its address in every form", `k create service clusterip s --tcp 80 >/dev/null; ip=$(k get service s -o 'jsonpath={.spec.clusterIP}'); for name in "s" "s.$NS" "s.$NS.svc" "s.$NS.svc.cluster.local"; do pod "p${#name}" "$(probe lookup "$name")"; done; for name in "s" "s.$NS" "s.$NS.svc" "s.$NS.svc.cluster.local"; do succeeds "p${#name}"; is "k logs p${#name}" "$ip"; done`},
	{"network", "a service without address resolves to its pods", `workload Deployment d '"replicas":2'; k expose deployment d --port 8080 --cluster-ip None >/dev/null; ready deployment/d; sleep 1; pod p "$(probe lookup d)"; succeeds p; is "k logs p | tr ' ' '\n' | sort" "$(k get pods -l app=d -o 'jsonpath={range .items[*]}{.status.podIP}{"\n"}{end}' | sort)"`},
	{"network", "pods of a stateful set have names", `k create service clusterip s --clusterip None >/dev/null; workload StatefulSet s '"replicas":1,"serviceName":"s"'; ready statefulset/s; pod p "$(probe get http://s-0.s:8080/)"; succeeds p; has "s-0 pi" k logs p`},
	{"network", "a port of every node reaches a service", `workload Deployment d '"replicas":1'; k expose deployment d --port 80 --target-port 8080 --type NodePort >/dev/null; ready deployment/d; port=$(k get service d -o 'jsonpath={.spec.ports[0].nodePort}'); for ip in $(kubectl get nodes -o 'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}'); do has "d-" curl -sS --max-time 5 "http://$ip:$port/"; done`},
	{"network", "a pod reaches pods of other nodes by their addresses", `workload DaemonSet d ''; ready daemonset/d; n=0; for ip in $(k get pods -o 'jsonpath={.items[*].status.podIP}'); do n=$((n + 1)); pod "p$n" "$(probe get "http://$ip:8080/")"; done; for i in 1 2 3; do succeeds "p$i"; done`},
	{"network", "a client stays with its pod", `workload Deployment d '"replicas":2'; k expose deployment d --port 80 --target-port 8080 --session-affinity ClientIP >/dev/null; ready deployment/d; pod c "$(serve)"; k wait --for=condition=Ready pod/c --timeout 60s >/dev/null; sleep 1; first=$(k exec c -- /probe get http://d/); for _ in 1 2 3 4 5 6; do [ "$(k exec c -- /probe get http://d/)" = "$first" ] || fail "another pod answered"; done`},
	{"network", "only pods that are ready are endpoints", `workload Deployment d '"replicas":1' "$(container c "$PROBE" '["serve"]' '"readinessProbe":{"exec":{"command":["/probe","read","/nothing"]},"periodSeconds":1},')"; k expose deployment d --port 8080 >/dev/null; is "k get endpointslice -o jsonpath={.items[0].endpoints[0].conditions.ready}" false`},
	{"network", "a service without selector has the endpoints that it is given", `workload Deployment d '"replicas":1'; ready deployment/d; ip=$(k get pods -o 'jsonpath={.items[0].status.podIP}')
apply <<E
{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}]}},
 {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s, labels: {kubernetes.io/service-name: s}}, addressType: IPv4, ports: [{name: "", port: 8080}], endpoints: [{addresses: [$ip]}]}]}
E
pod p "$(probe get http://s/)"; succeeds p`},
	{"network", "a service of another name is an alias", `workload Deployment d '"replicas":1'; k expose deployment d --port 8080 >/dev/null; ready deployment/d; k create service externalname s --external-name "d.$NS.svc.cluster.local" >/dev/null; pod p "$(probe get http://s:8080/)"; succeeds p`},
	{"network", "a pod's host port is the node's", `pod p "$(serve '"ports":[{"containerPort":8080,"hostPort":18099}],')" '"nodeSelector":{"kubernetes.io/hostname":"pi2"},'; k wait --for=condition=Ready pod/p --timeout 60s >/dev/null; ip=$(k get pod p -o 'jsonpath={.status.hostIP}'); has "p pi2" curl -sS --max-time 5 "http://$ip:18099/"`},

	{"configuration", "a config map is variables and files", `config c --from-literal a=1; pod p "$(shell 'echo $a; cat /c/a' '"envFrom":[{"configMapRef":{"name":"c"}}],"volumeMounts":[{"name":"c","mountPath":"/c"}],')" '"volumes":[{"name":"c","configMap":{"name":"c"}}],'; succeeds p; is "k logs p | tr -d '\n'" 11`},
	{"configuration", "a secret is variables and files", `k create secret generic s --from-literal a=1 >/dev/null; pod p "$(shell 'echo $A; cat /s/a' '"env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"a"}}}],"volumeMounts":[{"name":"s","mountPath":"/s"}],')" '"volumes":[{"name":"s","secret":{"secretName":"s"}}],'; succeeds p; is "k logs p | tr -d '\n'" 11`},
	{"configuration", "a missing config map is reported", `pod p "$(shell 'exit 0' '"envFrom":[{"configMapRef":{"name":"c"}}],')"; is "k get pod p -o jsonpath={.status.containerStatuses[0].state.waiting.reason}" CreateContainerConfigError`},
	{"configuration", "an immutable config map stays", `config c --from-literal a=1; k patch configmap c -p '{"immutable":true}' >/dev/null; refused "immutable" k patch configmap c -p '{"data":{"a":"2"}}'`},
	{"configuration", "labels are a file", `pod p "$(shell 'cat /d/labels' '"volumeMounts":[{"name":"d","mountPath":"/d"}],')" '"volumes":[{"name":"d","downwardAPI":{"items":[{"path":"labels","fieldRef":{"fieldPath":"metadata.labels"}}]}}],'; succeeds p; is "k logs p" 'app="p"'`},
	{"configuration", "a token for an audience is a file", `pod p "$(shell 'cat /t/token' '"volumeMounts":[{"name":"t","mountPath":"/t"}],')" '"volumes":[{"name":"t","projected":{"sources":[{"serviceAccountToken":{"path":"token","audience":"vault"}}]}}],'; succeeds p; has '"aud":["vault"]' sh -c 'kubectl -n "$NS" logs p | cut -d. -f2 | base64 -d 2>/dev/null'`},

	{"storage", "a claim is bound at its first use, and its data outlives the pod", `claim c; is "k get pvc c -o jsonpath={.status.phase}" Pending; v='"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}],'; m='"volumeMounts":[{"name":"v","mountPath":"/v"}],'; pod w "$(shell 'echo kept >/v/f' "$m")" "$v"; succeeds w; is "k get pvc c -o jsonpath={.status.phase}" Bound; k delete pod w >/dev/null; pod r "$(shell 'cat /v/f' "$m")" "$v"; succeeds r; is "k logs r" kept`},
	{"storage", "a volume goes with its claim", `claim c; pod p "$(shell 'exit 0' '"volumeMounts":[{"name":"v","mountPath":"/v"}],')" '"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}],'; succeeds p; v=$(k get pvc c -o 'jsonpath={.spec.volumeName}'); k delete pod p >/dev/null; k delete pvc c >/dev/null; is "kubectl get pv $v --ignore-not-found -o name" ""`},
	{"storage", "a claim in use is not removed before its pod", `claim c; pod p "$(serve '"volumeMounts":[{"name":"v","mountPath":"/v"}],')" '"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}],'; is "phase p" Running; k delete pvc c --wait=false >/dev/null; sleep 2; is "k get pvc c -o jsonpath={.metadata.finalizers[0]}" kubernetes.io/pvc-protection; k delete pod p >/dev/null; is "k get pvc -o name" ""`},
	{"storage", "an ephemeral claim goes with its pod", `pod p "$(shell 'echo x >/v/f' '"volumeMounts":[{"name":"v","mountPath":"/v"}],')" '"volumes":[{"name":"v","ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Mi"}}}}}}],'; succeeds p; k delete pod p >/dev/null; is "k get pvc -o name" ""`},
	{"storage", "a folder of the node is mounted", `pod p "$(shell 'cat /h/hostname' '"volumeMounts":[{"name":"h","mountPath":"/h","readOnly":true}],')" '"nodeSelector":{"kubernetes.io/hostname":"pi2"},"volumes":[{"name":"h","hostPath":{"path":"/etc"}}],'; succeeds p; is "k logs p" pi2`},
	{"storage", "a part of a volume is mounted", `config c --from-literal a=1 --from-literal b=2; pod p "$(shell 'cat /f' '"volumeMounts":[{"name":"c","mountPath":"/f","subPath":"b"}],')" '"volumes":[{"name":"c","configMap":{"name":"c"}}],'; succeeds p; is "k logs p" 2`},

	{"access", "an account without a role is refused", `k create serviceaccount a >/dev/null; refused "forbidden" k get pods --as "system:serviceaccount:$NS:a"`},
	{"access", "a role allows what it lists, and no more", `k create serviceaccount a >/dev/null; k create role r --verb get,list --resource pods >/dev/null; k create rolebinding r --role r --serviceaccount "$NS:a" >/dev/null; is "k get pods -o name --as system:serviceaccount:$NS:a" ""; refused forbidden k delete pod x --as "system:serviceaccount:$NS:a"; is "k auth can-i list pods --as system:serviceaccount:$NS:a" yes; is "k auth can-i list secrets --as system:serviceaccount:$NS:a" no`},
	{"access", "no one grants more than they have", `k create serviceaccount a >/dev/null; k create role r --verb create,get --resource roles >/dev/null; k create rolebinding r --role r --serviceaccount "$NS:a" >/dev/null; refused "attempting to grant RBAC permissions not currently held" k create role more --verb get --resource secrets --as "system:serviceaccount:$NS:a"`},
	{"access", "a token of an account is a credential", `k create serviceaccount a >/dev/null; token=$(k create token a); is "curl -sk -H 'Authorization: Bearer $token' $SERVER/apis/authentication.k8s.io/v1/selfsubjectreviews -X POST -H 'Content-Type: application/json' -d '{\"kind\":\"SelfSubjectReview\",\"apiVersion\":\"authentication.k8s.io/v1\"}' | jq -r .status.userInfo.username" "system:serviceaccount:$NS:a"`},
	{"access", "a wrong token is refused with 401, and none as well", `is "curl -sk -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer x' $SERVER/api" 401; is "curl -sk -o /dev/null -w '%{http_code}' $SERVER/version" 401`},
	{"access", "a certificate is requested, approved and issued", `dir=$(mktemp -d); trap 'rm -rf "$dir"; kubectl delete csr "$NS" >/dev/null' EXIT; openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/key" -subj /CN=someone -out "$dir/csr" 2>/dev/null
echo "{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: $NS}, spec: {request: $(base64 -w0 <"$dir/csr"), signerName: kubernetes.io/kube-apiserver-client, usages: [client auth]}}" | kubectl apply -f - >/dev/null; kubectl certificate approve "$NS" >/dev/null
has "someone" sh -c 'kubectl get csr "$NS" -o "jsonpath={.status.certificate}" | base64 -d | openssl x509 -noout -subject'`},
	{"access", "a restricted namespace refuses a privileged pod", `kubectl label namespace "$NS" pod-security.kubernetes.io/enforce=restricted >/dev/null; refused "violates PodSecurity" k run p --image "$PROBE" --privileged`},

	{"quotas", "a quota refuses what is beyond it", `k create quota q --hard configmaps=2 >/dev/null; is "k get quota q -o jsonpath={.status.used.configmaps}" 1; config a; refused "exceeded quota" k create configmap b`},
	{"quotas", "a range of limits fills in and refuses", `echo '{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {limits: [{type: Container, default: {memory: 32Mi}, max: {memory: 64Mi}}]}}' | apply; pod p "$(shell 'exit 0')"; is "k get pod p -o jsonpath={.spec.containers[0].resources.limits.memory}" 32Mi; refused "maximum memory usage per Container is 64Mi" k run q --image "$PROBE" --overrides '{"spec":{"containers":[{"name":"q","image":"x","resources":{"limits":{"memory":"1Gi"}}}]}}'`},
	{"quotas", "a disruption budget holds an eviction back", `workload Deployment d '"replicas":1'; ready deployment/d; k create poddisruptionbudget b --selector app=d --min-available 1 >/dev/null; is "k get pdb b -o jsonpath={.status.currentHealthy}" 1; name=$(k get pods -o 'jsonpath={.items[0].metadata.name}'); evict=$(mktemp); trap 'rm "$evict"' EXIT; echo "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"$name\"}}" >"$evict"; refused "violate the pod's disruption budget" k create --raw "/api/v1/namespaces/$NS/pods/$name/eviction" -f "$evict"; k delete pdb b >/dev/null; has Success k create --raw "/api/v1/namespaces/$NS/pods/$name/eviction" -f "$evict"`},

	{"API", "a watch sees changes in their order", `config c --from-literal a=1; coproc W { exec kubectl -n "$NS" get configmap c --watch -o 'jsonpath={.data.a}{"\n"}'; }; pid=$W_PID; trap 'kill $pid' EXIT; read -r x <&"${W[0]}"; k patch configmap c -p '{"data":{"a":"2"}}' >/dev/null; read -r y <&"${W[0]}"; k patch configmap c -p '{"data":{"a":"3"}}' >/dev/null; read -r z <&"${W[0]}"; [ "$x$y$z" = 123 ] || fail "saw $x$y$z"`},
	{"API", "a merge patch removes with null", `config c --from-literal a=1 --from-literal b=2; k patch configmap c --type merge -p '{"data":{"a":null}}' >/dev/null; is "k get configmap c -o jsonpath={.data}" '{"b":"2"}'`},
	{"API", "a strategic patch merges lists by name", `workload Deployment d '"replicas":0'; k patch deployment d -p '{"spec":{"template":{"spec":{"containers":[{"name":"more","image":"x"}]}}}}' >/dev/null; is "k get deployment d -o jsonpath={.spec.template.spec.containers[*].name}" "more c"`},
	{"API", "a JSON patch applies if its test holds", `config c --from-literal a=1; refused "" k patch configmap c --type json -p '[{"op":"test","path":"/data/a","value":"2"},{"op":"remove","path":"/data/a"}]'; k patch configmap c --type json -p '[{"op":"test","path":"/data/a","value":"1"},{"op":"replace","path":"/data/a","value":"3"}]' >/dev/null; is "k get configmap c -o jsonpath={.data.a}" 3`},
	{"API", "two appliers of a field conflict, unless one is forced", `c() { echo "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: '$1'}}" | kubectl -n "$NS" apply --server-side --field-manager "$2" ${3:-} -f -; }; c 1 one >/dev/null; refused conflict c 2 two; c 2 two --force-conflicts >/dev/null; is "k get configmap c -o jsonpath={.data.a}" 2`},
	{"API", "a field that is applied no longer is removed", `c() { kubectl -n "$NS" apply --server-side -f - >/dev/null; }; echo '{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: "1", b: "2"}}' | c; echo '{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {b: "2"}}' | c; is "k get configmap c -o jsonpath={.data}" '{"b":"2"}'`},
	{"API", "a write of an old version conflicts", `config c; old=$(mktemp); trap 'rm "$old"' EXIT; k get configmap c -o json | jq '.data={a:"1"}' >"$old"; k patch configmap c -p '{"data":{"a":"2"}}' >/dev/null; refused "the object has been modified" k replace -f "$old"`},
	{"API", "a dry run keeps nothing", `k create configmap c --dry-run=server >/dev/null; is "k get configmap c --ignore-not-found -o name" ""`},
	{"API", "a difference is shown", `config c --from-literal a=1; got=$(k create configmap c --from-literal a=2 --dry-run=client -o yaml | k diff -f - || true); case $got in *'+  a: "2"'*) ;; *) fail "$got" ;; esac`},
	{"API", "an unknown field is refused", `refused 'unknown field "spec.replica"' k create -f - <<<'{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replica":1,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"x"}]}}}}'`},
	{"API", "lists are selected by labels and fields", `for n in 1 2 3; do config "c$n"; k label configmap "c$n" "n=$n" >/dev/null; done; is "k get configmap -l 'n in (1,3)' -o name" $'configmap/c1\nconfigmap/c3'; is "k get configmap --field-selector metadata.name=c2 -o name" configmap/c2`},
	{"API", "lists come in parts", `for n in 1 2 3; do config "c$n"; done; first=$(kubectl get --raw "/api/v1/namespaces/$NS/configmaps?limit=2"); [ "$(jq '.items | length' <<<"$first")" = 2 ] || fail "not two"; rest=$(kubectl get --raw "/api/v1/namespaces/$NS/configmaps?limit=2&continue=$(jq -r .metadata.continue <<<"$first")"); [ "$(jq '.items | length' <<<"$rest")" = 2 ] || fail "not the other two"`},
	{"API", "a name is made from its beginning", `name=$(k create -f - -o name <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"made-"}}'); case $name in configmap/made-?????) ;; *) fail "$name" ;; esac`},
	{"API", "a resource is defined, defaulted, checked and served", `trap 'kubectl delete crd "things.$NS.example.org" >/dev/null' EXIT
kubectl apply -f - >/dev/null <<E
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.$NS.example.org}
spec:
  group: $NS.example.org
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              x-kubernetes-validations: [{rule: self.size < 10, message: size must be below 10}]
              properties: {size: {type: integer, default: 3}}
            status: {type: object, properties: {seen: {type: boolean}}}
E
kubectl wait --for=condition=Established "crd/things.$NS.example.org" >/dev/null
thing() { echo "{apiVersion: $NS.example.org/v1, kind: Thing, metadata: {name: t}, spec: {$1}, status: {seen: true}}" | kubectl -n "$NS" apply -f -; }
is "thing '' >/dev/null; k get things.$NS.example.org t -o jsonpath={.spec.size}{.status}" 3; refused "size must be below 10" thing 'size: 11'; refused "must be of type integer" thing 'size: x'
k patch "things.$NS.example.org" t --subresource status --type merge -p '{"status":{"seen":true}}' >/dev/null; is "k get things.$NS.example.org t -o jsonpath={.status.seen}" true`},
	{"API", "a policy of admission refuses", `trap 'kubectl delete validatingadmissionpolicybinding,validatingadmissionpolicy "$NS" >/dev/null' EXIT
kubectl apply -f - >/dev/null <<E
{apiVersion: v1, kind: List, items: [
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: $NS}, spec: {matchConstraints: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: $NS}}, resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}, validations: [{expression: "!object.metadata.name.startsWith('bad')", message: "not that name"}]}},
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: $NS}, spec: {policyName: $NS, validationActions: [Deny]}}]}
E
has "not that name" k create configmap bad --dry-run=server; config good`},
	{"API", "a finalizer holds a deletion back", `config c; k patch configmap c --type merge -p '{"metadata":{"finalizers":["example.org/hold"]}}' >/dev/null; k delete configmap c --wait=false >/dev/null; has 20 k get configmap c -o 'jsonpath={.metadata.deletionTimestamp}'; k patch configmap c --type merge -p '{"metadata":{"finalizers":null}}' >/dev/null; is "k get configmap c --ignore-not-found -o name" ""`},
	{"API", "what is owned goes with its owner", `config owner; uid=$(k get configmap owner -o 'jsonpath={.metadata.uid}'); config owned; k patch configmap owned --type merge -p "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"owner\",\"uid\":\"$uid\"}]}}" >/dev/null; k delete configmap owner >/dev/null; is "k get configmap owned --ignore-not-found -o name" ""`},
	{"API", "what is orphaned stays", `workload Deployment d '"replicas":1'; ready deployment/d; k delete deployment d --cascade=orphan >/dev/null; sleep 2; is "k get rs -o name | grep -c replicaset" 1`},
	{"API", "a namespace takes all that is in it along", `kubectl create namespace "$NS-x" >/dev/null; kubectl -n "$NS-x" create configmap c >/dev/null; kubectl -n "$NS-x" run p --image "$PROBE" --image-pull-policy Never --overrides '{"spec":{"terminationGracePeriodSeconds":1}}' -- serve >/dev/null; kubectl delete namespace "$NS-x" --timeout 60s >/dev/null; refused "not found" kubectl get namespace "$NS-x"`},
	{"API", "events are recorded", `pod p "$(shell 'exit 0')"; succeeds p; has Scheduled k get events --field-selector involvedObject.name=p`},
	{"API", "fields are explained", `has "Number of desired pods" kubectl explain deployment.spec.replicas`},
	{"API", "a wait ends when its condition holds", `pod p "$(shell 'exit 0')"; k wait --for=jsonpath='{.status.phase}'=Succeeded pod/p --timeout 60s >/dev/null; refused "timed out" k wait --for=delete pod/p --timeout 1s`},

	{"limits", "a network policy that restricts is refused, and one that does not is kept", `refused "restricts traffic" k create -f - <<<'{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"n"},"spec":{"podSelector":{}}}'
refused "restricts traffic" k create -f - <<<'{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"n"},"spec":{"podSelector":{},"ingress":[{}],"egress":[{"ports":[{"port":53}]}]}}'
echo '{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: open}, spec: {podSelector: {}, ingress: [{}]}}' | apply`},
	{"limits", "a load balancer is warned of, unless it is another controller's", `has "has no ServiceLB" k create service loadbalancer s --tcp 80 --dry-run=server; got=$(k create -f - --dry-run=server 2>&1 <<<'{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"type":"LoadBalancer","loadBalancerClass":"example.org/lb","ports":[{"port":80}]}}'); case $got in *Warning*) fail "$got" ;; esac`},
	{"limits", "an ingress is warned of, unless it is another controller's", `has "has no Traefik" k create ingress i --rule 'a/*=s:80' --dry-run=server; got=$(k create ingress i --class nginx --rule 'a/*=s:80' --dry-run=server 2>&1); case $got in *Warning*) fail "$got" ;; esac`},
	{"limits", "an autoscaler of resources is warned of", `hpa() { k create -f - --dry-run=server <<<'{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"h"},"spec":{"maxReplicas":2,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"}}}'; }; has "has no metrics-server" hpa`},
	{"limits", "resource metrics fail with an error", `refused "Metrics API not available" kubectl top nodes`},
}
