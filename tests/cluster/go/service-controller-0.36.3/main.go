// Command service-controller is the service controller of Kubernetes with a small cloud of the tests' own behind it.
//
// The controller, its finalizer, its events and its retries are the real ones; the cloud (cloud.go) gives out the
// addresses of one range and remembers who has which.
package main

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/util/wait"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
)

func main() {
	settings, err := options.NewCloudControllerManagerOptions()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	flags := cliflag.NamedFlagSets{}
	file := flags.FlagSet("cloud").String("range-file", "", "file with the addresses to give out, as FIRST-LAST")
	only := names.ServiceLBController
	controllers := map[string]app.ControllerInitFuncConstructor{only: app.DefaultInitFuncConstructors[only]}
	cloud := func(*config.CompletedConfig) cloudprovider.Interface { return newCloud(*file) }
	command := app.NewCloudControllerManagerCommand(
		settings, cloud, controllers, names.CCMControllerAliases(), flags, wait.NeverStop)
	os.Exit(cli.Run(command))
}
