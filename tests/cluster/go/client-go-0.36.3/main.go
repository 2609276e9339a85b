// Command operator is what an operator built on an unmodified client-go does, for the tests: it speaks protobuf,
// elects a leader by a Lease, keeps caches of objects and of metadata alone, records events and applies.
//
// Each thing that happens is one line of JSON on standard output.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
)

var (
	output sync.Mutex
	self   string
)

func tell(what string, more map[string]any) {
	output.Lock()
	defer output.Unlock()
	line := map[string]any{"what": what, "by": self}
	for key, value := range more {
		line[key] = value
	}
	_ = json.NewEncoder(os.Stdout).Encode(line)
}

func must(err error) {
	if err != nil {
		tell("failed", map[string]any{"error": err.Error()})
		os.Exit(1)
	}
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file to connect with")
	namespace := flag.String("namespace", "", "namespace to work in")
	flag.StringVar(&self, "id", "one", "name of this instance")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	must(err)
	config.UserAgent = "operator-" + self
	typed := rest.CopyConfig(config)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(typed)
	must(err)
	alone, err := metadata.NewForConfig(config)
	must(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	version, err := client.Discovery().ServerVersion()
	must(err)
	tell("connected", map[string]any{"version": version.GitVersion})
	watch(ctx, client, alone, *namespace)
	lead(ctx, client, *namespace)
}

func watch(ctx context.Context, client kubernetes.Interface, alone metadata.Interface, namespace string) {
	told := func(kind string) cache.ResourceEventHandlerFuncs {
		one := func(what string, obj any) {
			if last, gone := obj.(cache.DeletedFinalStateUnknown); gone {
				obj = last.Obj
			}
			meta, ok := obj.(metav1.Object)
			if !ok {
				must(fmt.Errorf("%T has no metadata", obj))
			}
			tell(what, map[string]any{"kind": kind, "name": meta.GetName(), "labels": meta.GetLabels()})
		}
		return cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { one("added", obj) },
			UpdateFunc: func(_, obj any) { one("changed", obj) },
			DeleteFunc: func(obj any) { one("deleted", obj) },
		}
	}
	whole := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	parts := metadatainformer.NewFilteredSharedInformerFactory(alone, 0, namespace, nil)
	services := whole.Core().V1().Services().Informer()
	_, err := services.AddEventHandler(told("Service"))
	must(err)
	secrets := parts.ForResource(corev1.SchemeGroupVersion.WithResource("secrets")).Informer()
	_, err = secrets.AddEventHandler(told("Secret"))
	must(err)
	whole.Start(ctx.Done())
	parts.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), services.HasSynced, secrets.HasSynced) {
		must(errors.New("the caches did not fill"))
	}
	tell("synced", nil)
}

func lead(ctx context.Context, client kubernetes.Interface, namespace string) {
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events(namespace)})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "operator"})
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: "operator", Namespace: namespace},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: self, EventRecorder: recorder},
	}
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   6 * time.Second,
		RenewDeadline:   4 * time.Second,
		RetryPeriod:     500 * time.Millisecond,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				tell("leading", nil)
				apply(ctx, client, namespace)
			},
			OnStoppedLeading: func() { tell("stopped", nil) },
			OnNewLeader:      func(identity string) { tell("follows", map[string]any{"leader": identity}) },
		},
	})
	broadcaster.Shutdown()
}

func apply(ctx context.Context, client kubernetes.Interface, namespace string) {
	wanted := corev1apply.ConfigMap("state", namespace).WithData(map[string]string{"leader": self})
	maps := client.CoreV1().ConfigMaps(namespace)
	_, err := maps.Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: "operator-" + self})
	if apierrors.IsConflict(err) {
		tell("conflict", map[string]any{"error": err.Error()})
		_, err = maps.Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: "operator-" + self, Force: true})
	}
	must(err)
	extracted, err := maps.Get(ctx, "state", metav1.GetOptions{})
	must(err)
	mine, err := corev1apply.ExtractConfigMap(extracted, "operator-"+self)
	must(err)
	tell("applied", map[string]any{"data": mine.Data})
}
