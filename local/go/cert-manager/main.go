// Command cert-manager-local runs cert-manager's controllers of certificates in one namespace, with the issuers that
// need nothing else: selfSigned and ca. cert-manager's own command is a Go module that no module proxy has.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	"github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

// Others come with the packages above; each controller here is one that the issuers need.
var controllers = []string{
	approver.ControllerName,
	ca.CRControllerName,
	selfsigned.CRControllerName,
	issuing.ControllerName,
	keymanager.ControllerName,
	readiness.ControllerName,
	requestmanager.ControllerName,
	revisionmanager.ControllerName,
	trigger.ControllerName,
	issuers.ControllerName,
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the kubeconfig; its current context is used")
	namespace := flag.String("namespace", "", "the namespace to work in")
	version := flag.Bool("version", false, "print the version of cert-manager and end")
	flag.Parse()
	if *version {
		fmt.Println(moduleVersion())
		return
	}
	if *kubeconfig == "" || *namespace == "" {
		log.Fatal("error: --kubeconfig and --namespace must be given")
	}
	root, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	root = logf.NewContext(root, logf.Log, "cert-manager")
	factory, err := controller.NewContextFactory(root, controller.ContextOptions{
		Kubeconfig:         *kubeconfig,
		KubernetesAPIQPS:   20,
		KubernetesAPIBurst: 50,
		Namespace:          *namespace,
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: *namespace},
	})
	if err != nil {
		log.Fatalf("error: %v", err)
	}
	shared, err := factory.Build()
	if err != nil {
		log.Fatalf("error: %v", err)
	}
	var running sync.WaitGroup
	for _, name := range controllers {
		one, err := controller.Known()[name](factory)
		if err != nil {
			log.Fatalf("error: %s: %v", name, err)
		}
		running.Add(1)
		go func() {
			defer running.Done()
			if err := one.Run(1, root); err != nil {
				log.Fatalf("error: %s: %v", name, err)
			}
		}()
	}
	shared.SharedInformerFactory.Start(root.Done())
	shared.KubeSharedInformerFactory.Start(root.Done())
	log.Printf("cert-manager works in %s", *namespace)
	running.Wait()
}

func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/cert-manager/cert-manager" {
				return module.Version
			}
		}
	}
	return "unknown"
}
