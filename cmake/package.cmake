# What `cmake --install` puts in place: the programs, and a package that
# find_package(parley) finds, with the targets parley::client and parley::server.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/parley)
set(header_folder ${CMAKE_INSTALL_INCLUDEDIR}/parley)

install(TARGETS parley parley-server parley-client RUNTIME)
foreach(program parley parley-server parley-client)
  install(FILES tools/cli/parley.bash RENAME ${program}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endforeach()
# Written when they are installed: builds need not wait for them.
install(CODE "execute_process(COMMAND_ERROR_IS_FATAL ANY COMMAND
  ${PROJECT_SOURCE_DIR}/cmake/man.sh ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}
  \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1)")

set(libraries
  parley_proto parley_proto_grpc
  parley_base parley_kernels parley_topology parley_model parley_data parley_analysis parley_files parley_wire
  parley_rpc parley_config parley_metrics parley_report
  parley_client_sdk parley_client_state parley_client_session parley_client_gossip parley_client_rpc
  parley_client_program
  parley_server_strategies parley_server_selection parley_server_registry
  parley_server_store parley_server_machine parley_server_rendezvous parley_server_run parley_server_round
  parley_server_host parley_server_rpc parley_server_http parley_server_program)
# Two names are for users, the others are what those stand on.
set_target_properties(parley_client_program PROPERTIES EXPORT_NAME client)
set_target_properties(parley_server_program PROPERTIES EXPORT_NAME server)
foreach(library parley_client_program parley_server_program)
  target_include_directories(${library} SYSTEM INTERFACE
    $<INSTALL_INTERFACE:${header_folder}>)
endforeach()
install(TARGETS ${libraries} EXPORT parley ARCHIVE)
install(EXPORT parley NAMESPACE parley:: FILE parleyTargets.cmake
  DESTINATION ${package_folder})

# The headers that users include, and what those include: no Eigen in them.
foreach(header
    client/program/client_program.h client/sdk/trainer.h
    common/base/clock.h common/base/executor.h common/base/mutex.h
    common/model/parameters.h
    server/program/server_program.h server/strategies/strategy.h
    server/strategies/update_view.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${header_folder}/${folder})
endforeach()
install(DIRECTORY ${PROJECT_BINARY_DIR}/proto/parley/v1
  DESTINATION ${header_folder}/parley FILES_MATCHING PATTERN "*.pb.h"
  PATTERN "*.grpc.pb.h" EXCLUDE)

configure_package_config_file(cmake/parleyConfig.cmake.in
  ${PROJECT_BINARY_DIR}/parleyConfig.cmake INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/parleyConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/parleyConfig.cmake
  ${PROJECT_BINARY_DIR}/parleyConfigVersion.cmake DESTINATION ${package_folder})
